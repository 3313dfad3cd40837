//! Files that pages refer to, carried in the binary, compressed once.

use std::sync::LazyLock;

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use foreshore_model::Digest;
use http::{HeaderMap, HeaderValue, header};

use crate::answer::{accepts_gzip, gzip};

const STYLE: &str = include_str!("../assets/style.css");
const SCRIPT: &str = include_str!("../assets/live.js");
const ICON: &str = include_str!("../assets/icon.svg");

/// One file under a name that changes with its content.
struct Asset {
    path: String,
    plain: &'static str,
    compressed: Vec<u8>,
}

impl Asset {
    fn new(name: &str, extension: &str, plain: &'static str) -> Self {
        let digest = Digest::of(plain.as_bytes());
        Self {
            path: format!("/assets/{name}-{}.{extension}", digest.short()),
            plain,
            compressed: gzip(plain.as_bytes(), flate2::Compression::best()),
        }
    }
}

static STYLE_ASSET: LazyLock<Asset> = LazyLock::new(|| Asset::new("style", "css", STYLE));
static SCRIPT_ASSET: LazyLock<Asset> = LazyLock::new(|| Asset::new("live", "js", SCRIPT));

pub(crate) fn style_path() -> &'static str {
    &STYLE_ASSET.path
}

pub(crate) fn script_path() -> &'static str {
    &SCRIPT_ASSET.path
}

/// Serves the files under `/assets`.
pub(crate) fn assets<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route(
            style_path(),
            get(|headers: HeaderMap| async move {
                send(&STYLE_ASSET, "text/css; charset=utf-8", &headers)
            }),
        )
        .route(
            script_path(),
            get(|headers: HeaderMap| async move {
                send(&SCRIPT_ASSET, "text/javascript; charset=utf-8", &headers)
            }),
        )
        .route(
            "/assets/icon.svg",
            get(|| async { ([(header::CONTENT_TYPE, "image/svg+xml")], ICON) }),
        )
}

fn send(asset: &'static Asset, kind: &'static str, headers: &HeaderMap) -> Response {
    let mut response = if accepts_gzip(headers) {
        (
            [(header::CONTENT_ENCODING, "gzip")],
            asset.compressed.as_slice(),
        )
            .into_response()
    } else {
        asset.plain.into_response()
    };
    let own = response.headers_mut();
    own.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    // The name changes with the content.
    own.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=31536000, immutable"),
    );
    own.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn style_and_script_together_stay_below_thirty_kilobytes() {
        let total = STYLE_ASSET.compressed.len() + SCRIPT_ASSET.compressed.len();
        assert!(total < 30_000, "{total}");
    }

    #[test]
    fn nothing_is_asked_of_anybody_else() {
        for text in [STYLE, SCRIPT, ICON] {
            let text = text.replace("http://www.w3.org/2000/svg", "");
            for foreign in [
                "http://",
                "https://",
                "@import",
                "//cdn",
                "eval(",
                "new Function",
            ] {
                assert!(!text.contains(foreign), "{foreign}");
            }
        }
    }
}
