//! What was released before, one service in one environment.

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use foreshore_model::api::HistoryEntry;
use foreshore_model::{EnvironmentName, ServiceName, clock};

use super::{Reader, Shared, failed, missing, plain};
use crate::dashboard::may_act;
use crate::html::Html;
use crate::query::href;

const COUNT: usize = 50;

pub(super) async fn show(
    State(inner): Shared,
    Extension(reader): Extension<Reader>,
    Path((environment, service)): Path<(String, String)>,
) -> Response {
    // Parsed first: they become part of a path.
    let (Ok(environment), Ok(service)) = (
        environment.parse::<EnvironmentName>(),
        service.parse::<ServiceName>(),
    ) else {
        return failed(
            &inner,
            &reader,
            &missing("there is no such service or environment"),
        );
    };
    let path = format!("/api/v1/history/{environment}/{service}?count={COUNT}");
    let entries: Vec<HistoryEntry> = match inner.desk.get(&reader.who, &path).await {
        Ok(entries) => entries,
        Err(problem) => return failed(&inner, &reader, &problem),
    };
    let title = format!("{service} in {environment}: history");
    plain(&inner, &reader, &title, "/releases", |html| {
        table(html, &entries);
        html.raw("<p class=actions>")
            .link(&format!("/services/{service}"), service.as_str());
        if may_act(&reader.who) {
            let place = [
                ("environment", environment.as_str()),
                ("service", service.as_str()),
            ];
            html.raw(" <a class=button data-ask")
                .attribute("href", &href("/act/rollback", &place))
                .raw(">Roll back</a>");
        }
        html.raw("</p>");
    })
}

fn table(html: &mut Html, entries: &[HistoryEntry]) {
    let now = clock::now();
    html.raw("<div class=scroll tabindex=0 role=region aria-label=History><table><thead><tr><th scope=col class=number>No.</th><th scope=col>When</th><th scope=col>Artifact</th><th scope=col>What</th><th scope=col>By</th><th scope=col>Why</th><th scope=col>Commit</th></tr></thead><tbody>");
    for entry in entries {
        html.raw("<tr><th scope=row class=number data-label=No.>")
            .number(entry.sequence)
            .raw("</th><td data-label=When>")
            .age(entry.at, now);
        html.raw("</td><td data-label=Artifact><code>")
            .text(entry.artifact_id.as_str())
            .raw("</code></td><td class=wide data-label=What>")
            .text(&entry.subject);
        html.raw("</td><td data-label=By>")
            .text(&entry.actor)
            .raw("</td><td class=wide data-label=Why>")
            .text(&entry.reason);
        html.raw("</td><td data-label=Commit><code>")
            .text(entry.commit.get(..10).unwrap_or(&entry.commit))
            .raw("</code></td></tr>");
    }
    html.raw("</tbody></table></div>");
}
