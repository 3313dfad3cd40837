//! The keys, and what the shapes mean.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;

use super::{Reader, Shared, plain};
use crate::cell::{self, Tone};
use crate::frame::SECTIONS;

const KEYS: [(&str, &str); 9] = [
    ("?", "this page"),
    ("/", "filter this list"),
    (
        "Ctrl K or :",
        "command palette: pages, services, pods, nodes, actions",
    ),
    ("j k", "next row, previous row"),
    ("Enter", "open the row"),
    ("l", "logs of the row"),
    ("r", "restart the row: asks first"),
    ("x", "switch keys off and on"),
    ("Esc", "close, back"),
];

pub(super) async fn show(State(inner): Shared, Extension(reader): Extension<Reader>) -> Response {
    plain(&inner, &reader, "Keys and help", "", |html| {
        html.raw("<h2>Keys</h2><dl class=keys>");
        for (key, words) in KEYS {
            html.raw("<div><dt><kbd>")
                .raw(key)
                .raw("</kbd></dt><dd>")
                .raw(words)
                .raw("</dd></div>");
        }
        for (_, name, key) in SECTIONS {
            html.raw("<div><dt><kbd>g ")
                .raw(key)
                .raw("</kbd></dt><dd>")
                .raw(name)
                .raw("</dd></div>");
        }
        html.raw("</dl><h2>Shapes</h2><ul class=hits>");
        for (tone, words) in [
            (Tone::Good, "as it should be"),
            (Tone::Busy, "on its way, or close to a limit"),
            (Tone::Bad, "somebody must look"),
            (Tone::Unknown, "nothing is known"),
            (Tone::Quiet, "finished, or not judged"),
        ] {
            html.raw("<li>");
            cell::status(html, tone, words, "");
            html.raw("</li>");
        }
        html.raw("</ul><h2>Addresses</h2><p>Everything a page shows is in its address: send it to somebody, and they see the same. Put <code>.csv</code> or <code>.json</code> behind the path for a file of the same rows.</p>");
    })
}
