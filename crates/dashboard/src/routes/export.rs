//! The rows of a page as a file: the same URL with `.csv` or `.json`.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, Uri, header};

use super::{Reader, Shared};
use crate::export::Format;
use crate::listing::{Facts, Listing, Selected, select};
use crate::page::{checks::Checks, events::Events, nodes::Nodes, pods::Pods, services::Services};
use crate::query::Query;

/// Rows made at a time; a file of any size needs no more memory.
const CHUNK: usize = 200;

pub(super) async fn export(
    State(inner): Shared,
    Extension(_): Extension<Reader>,
    uri: Uri,
    RawQuery(query): RawQuery,
) -> Response {
    let query = Query::parse(query.as_deref());
    let facts = inner.facts(false);
    let (name, format) = match uri.path().strip_suffix(Format::Json.suffix()) {
        Some(name) => (name, Format::Json),
        None => (
            uri.path()
                .strip_suffix(Format::Csv.suffix())
                .unwrap_or_default(),
            Format::Csv,
        ),
    };
    match name {
        "/services" => rows(Services, &query, facts, format),
        "/pods" => rows(Pods, &query, facts, format),
        "/nodes" => rows(Nodes, &query, facts, format),
        "/events" => rows(Events, &query, facts, format),
        _ => rows(Checks, &query, facts, format),
    }
}

fn rows<L: Listing>(listing: L, query: &Query, facts: Facts, format: Format) -> Response {
    let Selected { items, .. } = select(&listing, query, &facts);
    let name = listing.path().trim_start_matches('/');
    let disposition = format!("attachment; filename=\"{name}{}\"", format.suffix());
    let listing = Arc::new(listing);
    let columns = listing.columns();
    let start = (items.into_iter().enumerate(), Some(format.head(columns)));
    let stream = futures::stream::unfold(Some(start), move |state| {
        let Some((mut items, head)) = state else {
            return std::future::ready(None);
        };
        let mut text = head.unwrap_or_default();
        let mut ended = true;
        for (index, item) in items.by_ref().take(CHUNK) {
            text.push_str(&format.row(columns, &listing.row(&item, &facts), index));
            ended = false;
        }
        let next = if ended {
            text.push_str(format.foot());
            None
        } else {
            Some((items, None))
        };
        std::future::ready(Some((Ok::<String, Infallible>(text), next)))
    });
    let mut response = Body::from_stream(stream).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(format.content_type()),
    );
    if let Ok(disposition) = HeaderValue::from_str(&disposition) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    response
}
