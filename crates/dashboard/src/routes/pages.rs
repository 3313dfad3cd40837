//! Pages that keep themselves up to date, and the streams that tell them.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::{Html, IntoResponse as _, Response};
use http::Uri;

use super::{Reader, Shared, failed, missing};
use crate::dashboard::{Inner, may_act};
use crate::frame::{self, Frame};
use crate::page::Page;
use crate::query::Query;

pub(super) async fn show(
    State(inner): Shared,
    Extension(reader): Extension<Reader>,
    uri: Uri,
    RawQuery(query): RawQuery,
) -> Response {
    let query = Query::parse(query.as_deref());
    let Some(page) = page(uri.path()) else {
        return failed(&inner, &reader, &missing("there is no such page"));
    };
    let facts = inner.facts(may_act(&reader.who));
    let Some(view) = page.view(&query, &facts) else {
        return failed(
            &inner,
            &reader,
            &missing("what this page was about is not there (any more)"),
        );
    };
    let frame = Frame {
        title: &view.title,
        section: page.section(),
        live: Some(query.href(&live_path(&page))),
        reader: Some(&reader.who.actor),
        session: reader.session,
        ground: &inner.ground,
        production: query
            .get("environment")
            .is_some_and(|environment| facts.world.is_production(environment)),
        version: &inner.version,
    };
    Html(frame.document(Some(&frame::data(&facts)), |html| view.write(html))).into_response()
}

pub(super) async fn stream(
    State(inner): Shared,
    Extension(reader): Extension<Reader>,
    uri: Uri,
    RawQuery(query): RawQuery,
) -> Response {
    let path = uri.path().strip_prefix("/live").unwrap_or_default();
    match page(path) {
        Some(page) => stream_of(&inner, page, Query::parse(query.as_deref()), &reader),
        None => failed(&inner, &reader, &missing("there is no such page")),
    }
}

fn stream_of(inner: &Arc<Inner>, page: Page, query: Query, reader: &Reader) -> Response {
    inner.views.stream((page, query, may_act(&reader.who)))
}

fn live_path(page: &Page) -> String {
    format!("/live{}", page.path())
}

/// Names of services, sites and objects need no escaping in a path, so what is escaped is no page.
fn page(path: &str) -> Option<Page> {
    if path.contains('%') {
        None
    } else {
        Page::of(path)
    }
}
