//! Files that pages refer to, carried in the binary.

use axum::Router;
use axum::routing::get;
use http::{HeaderValue, header};

const STYLE: &str = include_str!("../assets/style.css");

/// Serves the files under `/assets`.
pub fn assets() -> Router {
    Router::new().route(
        "/assets/style.css",
        get(|| async {
            (
                [
                    (
                        header::CONTENT_TYPE,
                        HeaderValue::from_static("text/css; charset=utf-8"),
                    ),
                    (
                        header::CACHE_CONTROL,
                        HeaderValue::from_static("max-age=300"),
                    ),
                ],
                STYLE,
            )
        }),
    )
}
