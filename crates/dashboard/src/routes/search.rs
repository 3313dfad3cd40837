//! Search over everything, as a page and for the command palette.

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};

use super::{Reader, Shared, plain};
use crate::dashboard::may_act;
use crate::query::Query;
use crate::search::search;

pub(super) async fn show(
    State(inner): Shared,
    Extension(reader): Extension<Reader>,
    RawQuery(query): RawQuery,
) -> Response {
    let query = Query::parse(query.as_deref());
    let hits = search(&query, &inner.facts(may_act(&reader.who)));
    plain(&inner, &reader, "Search", "", |html| {
        html.raw("<form class=filter method=get action=\"/search\" role=search><label><span class=sr>Search</span><input type=search name=q id=filter autocomplete=off");
        html.attribute("value", query.get("q").unwrap_or_default())
            .raw("></label><button>Search</button></form>");
        if hits.is_empty() {
            html.raw(
                "<p class=empty>Nothing is called like that: no page, service, pod or node.</p>",
            );
        }
        html.raw("<ul class=hits>");
        for hit in &hits {
            html.raw("<li><span class=quiet>")
                .raw(hit.kind)
                .raw("</span> ")
                .link(&hit.to, &hit.text)
                .raw("</li>");
        }
        html.raw("</ul>");
    })
}

pub(super) async fn json(
    State(inner): Shared,
    Extension(reader): Extension<Reader>,
    RawQuery(query): RawQuery,
) -> Response {
    let query = Query::parse(query.as_deref());
    Json(search(&query, &inner.facts(may_act(&reader.who)))).into_response()
}
