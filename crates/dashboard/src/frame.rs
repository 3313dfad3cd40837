//! What stands around every page: header, navigation, search, footer with the age of the data.

use foreshore_model::Actor;

use crate::assets;
use crate::cell::{self, Tone};
use crate::html::Html;
use crate::listing::Facts;

/// A page's title, place and reader.
pub(crate) struct Frame<'a> {
    pub(crate) title: &'a str,
    /// The entry of the navigation that is marked.
    pub(crate) section: &'a str,
    /// Where changes of this page come from; none if it stays as it is.
    pub(crate) live: Option<String>,
    pub(crate) reader: Option<&'a Actor>,
    /// Whether the reader can log out.
    pub(crate) session: bool,
    /// Where things run, in words.
    pub(crate) ground: &'a str,
    /// Whether the page is about production alone.
    pub(crate) production: bool,
    pub(crate) version: &'a str,
}

/// Path, name and key of each entry.
pub(crate) const SECTIONS: [(&str, &str, &str); 10] = [
    ("/", "Overview", "o"),
    ("/services", "Services", "s"),
    ("/releases", "Releases", "r"),
    ("/pods", "Pods", "p"),
    ("/nodes", "Nodes", "n"),
    ("/events", "Events", "e"),
    ("/checks", "Checks", "c"),
    ("/loads", "Load", "t"),
    ("/logs", "Logs", "l"),
    ("/audit", "Audit", "a"),
];

impl Frame<'_> {
    /// Writes the whole document around what `body` writes.
    pub(crate) fn document(&self, data: Option<&Html>, body: impl FnOnce(&mut Html)) -> String {
        let mut html = Html::new();
        html.raw("<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content=\"width=device-width, initial-scale=1\"><title>");
        html.text(self.title)
            .raw(" · Foreshore</title><link rel=stylesheet")
            .attribute("href", assets::style_path());
        html.raw("><link rel=icon type=\"image/svg+xml\" href=\"/assets/icon.svg\"><script defer")
            .attribute("src", assets::script_path())
            .raw("></script></head><body");
        if let Some(live) = &self.live {
            html.attribute("data-live", live);
        }
        if self.production {
            html.raw(" class=production");
        }
        html.raw("><a class=skip href=\"#main\">Skip to the content</a>");
        self.header(&mut html);
        html.raw("<main id=main tabindex=-1><h1>")
            .text(self.title)
            .raw("</h1>");
        body(&mut html);
        html.raw("</main><footer>");
        if let Some(data) = data {
            html.raw("<div class=part data-part id=data>")
                .append(data)
                .raw("</div>");
        }
        html.raw("<div><span id=stream class=quiet></span> Foreshore ")
            .text(self.version);
        html.raw(
            " · <a href=\"/help\">Keys and help <kbd>?</kbd></a></div></footer></body></html>\n",
        );
        html.into_string()
    }

    fn header(&self, html: &mut Html) {
        html.raw("<header><a class=brand href=\"/\"><svg viewBox=\"0 0 24 24\" aria-hidden=true><path d=\"M2 15c3 0 3-2 5-2s2 2 5 2 3-2 5-2 2 2 5 2M2 20c3 0 3-2 5-2s2 2 5 2 3-2 5-2 2 2 5 2\"/><circle cx=\"12\" cy=\"7\" r=\"3.5\"/></svg>Foreshore</a>");
        if self.production {
            html.raw("<span class=\"badge live\">LIVE</span>");
        }
        html.raw("<span class=badge>")
            .text(self.ground)
            .raw("</span>");
        if self.reader.is_some() {
            html.raw("<form class=search action=\"/search\" method=get role=search aria-label=\"Everything\"><label><span class=sr>Search everything</span><input type=search name=q id=search placeholder=\"Search everything  Ctrl K\" autocomplete=off></label></form>");
        }
        if let Some(reader) = self.reader {
            html.raw("<span class=who>").text(&reader.name);
            if self.session {
                html.raw(" <form method=post action=\"/logout\" class=out><button>Log out</button></form>");
            }
            html.raw("</span>");
        }
        html.raw("</header>");
        if self.reader.is_none() {
            return;
        }
        html.raw("<nav aria-label=Pages><ul>");
        for (path, name, key) in SECTIONS {
            html.raw("<li><a")
                .attribute("href", path)
                .attribute("data-go", key);
            if path == self.section {
                html.raw(" aria-current=page");
            }
            html.raw(">").text(name).raw("</a></li>");
        }
        html.raw("</ul></nav>");
    }
}

/// Says how old what is shown is, and which cluster is gone since when.
pub(crate) fn data(facts: &Facts) -> Html {
    let mut html = Html::new();
    for site in &facts.sites {
        let contact = site.contact();
        html.raw("<span class=source>");
        match (&contact.lost, contact.last) {
            (Some((since, why)), _) => {
                cell::status(
                    &mut html,
                    Tone::Bad,
                    &format!("{}: data is", site.name),
                    why,
                );
                html.raw(" <strong>")
                    .age(*since, facts.now)
                    .raw("</strong> old, no answer since ");
                html.text(&since.strftime("%H:%M:%S UTC").to_string());
            }
            (None, None) => cell::status(
                &mut html,
                Tone::Busy,
                &format!("{}: loading", site.name),
                "",
            ),
            (None, Some(_)) if contact.complete < crate::watching::KINDS => {
                cell::status(
                    &mut html,
                    Tone::Busy,
                    &format!(
                        "{}: loading, {} of {} kinds, {} pods so far",
                        site.name,
                        contact.complete,
                        crate::watching::KINDS,
                        site.kinds().pods.len()
                    ),
                    "",
                );
            }
            (None, Some(_)) => {
                cell::status(&mut html, Tone::Good, &format!("{}: live", site.name), "");
            }
        }
        html.raw("</span> ");
    }
    if facts.sites.is_empty() {
        cell::status(&mut html, Tone::Unknown, "no cluster connected", "");
    }
    if let Some((since, why)) = &facts.world.lost {
        html.raw("<span class=source>");
        cell::status(&mut html, Tone::Bad, "releases: data is", why);
        html.raw(" <strong>")
            .age(*since, facts.now)
            .raw("</strong> old</span>");
    }
    html
}
