//! The audit page: every change of the config repository and every action from a page, newest first.

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use foreshore_model::ExitCode;
use foreshore_model::api::{AuditEntry, Problem};
use foreshore_model::clock;
use http::{Uri, header};
use jiff::Timestamp;

use super::{Reader, Shared, failed, plain};
use crate::cell::{Cell, Column, Row, Tone};
use crate::dashboard::Inner;
use crate::export::Format;
use crate::html::Html;
use crate::listing::contains;
use crate::query::Query;

const COUNT: usize = 500;

const COLUMNS: &[Column] = &[
    Column::unsorted("at", "When"),
    Column::unsorted("actor", "Who"),
    Column::unsorted("what", "What"),
    Column::unsorted("reason", "Why"),
    Column::unsorted("result", "Result"),
    Column::unsorted("commit", "Commit"),
];

struct Entry {
    at: Timestamp,
    actor: String,
    what: String,
    reason: String,
    result: String,
    commit: String,
    tone: Tone,
}

/// Puts both records together; the flag says whether the chain of actions is whole.
async fn entries(
    inner: &Inner,
    reader: &Reader,
    query: &Query,
) -> Result<(Vec<Entry>, bool), Problem> {
    let commits: Vec<AuditEntry> = inner
        .desk
        .get(&reader.who, &format!("/api/v1/audit?count={COUNT}"))
        .await?;
    let (records, whole) = inner.audit.read().map_err(|error| Problem {
        code: ExitCode::Failed.code(),
        kind: "internal".to_owned(),
        message: error.to_string(),
        hints: Vec::new(),
    })?;
    let commits = commits.into_iter().map(|entry| {
        let trailer = |name: &str| {
            entry
                .trailers
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.clone())
        };
        let signed = match entry.signed {
            Some(true) => "signed",
            Some(false) => "signature is wrong",
            None if entry.by_writer => "committed",
            None => "committed by hand",
        };
        Entry {
            at: entry.at,
            reason: trailer("Reason").unwrap_or_default(),
            actor: entry.actor,
            what: entry.subject,
            result: signed.to_owned(),
            commit: entry.commit,
            tone: if entry.signed == Some(false) {
                Tone::Bad
            } else {
                Tone::Quiet
            },
        }
    });
    let records = records.into_iter().map(|record| Entry {
        at: record.at,
        actor: record.actor,
        what: format!("{} {}", record.deed, record.target),
        reason: record.reason,
        tone: if record.result.starts_with("failed") {
            Tone::Bad
        } else {
            Tone::Quiet
        },
        result: record.result,
        commit: String::new(),
    });
    let words = query.words();
    let fits = |entry: &Entry| {
        words.iter().all(|word| {
            [
                &entry.actor,
                &entry.what,
                &entry.reason,
                &entry.result,
                &entry.commit,
            ]
            .into_iter()
            .any(|text| contains(text, word))
        })
    };
    let mut all: Vec<Entry> = commits.chain(records).filter(fits).collect();
    all.sort_by_key(|entry| std::cmp::Reverse(entry.at));
    Ok((all, whole))
}

fn row(entry: &Entry) -> Row {
    Row {
        key: format!("{}{}", entry.commit, entry.at),
        cells: vec![
            Cell::Age(entry.at),
            Cell::text(entry.actor.as_str()),
            Cell::text(entry.what.as_str()),
            Cell::text(entry.reason.as_str()),
            Cell::status(entry.tone, entry.result.as_str(), ""),
            Cell::Code(entry.commit.get(..10).unwrap_or(&entry.commit).to_owned()),
        ],
    }
}

pub(super) async fn show(
    State(inner): Shared,
    Extension(reader): Extension<Reader>,
    RawQuery(query): RawQuery,
) -> Response {
    let query = Query::parse(query.as_deref());
    let (entries, whole) = match entries(&inner, &reader, &query).await {
        Ok(entries) => entries,
        Err(problem) => return failed(&inner, &reader, &problem),
    };
    let now = clock::now();
    let (size, page) = (query.size(), query.page());
    plain(&inner, &reader, "Audit", "/audit", |html| {
        if !whole {
            html.raw("<p class=\"banner bad\">The record of actions was changed from outside, or a crash cut a line: its chain of hashes is broken.</p>");
        }
        html.raw("<form class=filter method=get action=\"/audit\" role=search><label><span class=sr>Filter</span><input type=search name=q id=filter placeholder=\"Filter  /\" autocomplete=off");
        html.attribute("value", query.get("q").unwrap_or_default())
            .raw("></label><button>Filter</button></form>");
        table(html, entries.iter().skip((page - 1) * size).take(size), now);
        if entries.is_empty() {
            html.raw("<p class=empty>Nothing is recorded that fits.</p>");
        }
        html.raw("<p class=part id=foot>")
            .text(&format!("{} entries", entries.len()));
        for (wanted, to, words) in [
            (page > 1, page.wrapping_sub(1), "← Newer"),
            (entries.len() > page * size, page + 1, "Older →"),
        ] {
            if wanted {
                html.raw(" ").link(
                    &query.with("page", Some(&to.to_string())).href("/audit"),
                    words,
                );
            }
        }
        html.raw("<span class=export>")
            .link(&query.href("/audit.csv"), "CSV")
            .raw(" ")
            .link(&query.href("/audit.json"), "JSON")
            .raw("</span></p>");
    })
}

fn table<'a>(html: &mut Html, entries: impl Iterator<Item = &'a Entry>, now: Timestamp) {
    html.raw("<div class=scroll tabindex=0 role=region aria-label=Changes><table><thead><tr>");
    for column in COLUMNS {
        html.raw("<th scope=col>").raw(column.title).raw("</th>");
    }
    html.raw("</tr></thead><tbody>");
    for entry in entries {
        html.raw("<tr>");
        for (column, cell) in COLUMNS.iter().zip(row(entry).cells) {
            html.raw("<td class=wide")
                .attribute("data-label", column.title)
                .raw(">");
            cell.write(html, now);
            html.raw("</td>");
        }
        html.raw("</tr>");
    }
    html.raw("</tbody></table></div>");
}

pub(super) async fn export(
    State(inner): Shared,
    Extension(reader): Extension<Reader>,
    uri: Uri,
    RawQuery(query): RawQuery,
) -> Response {
    let query = Query::parse(query.as_deref());
    let format = if uri.path().ends_with(Format::Json.suffix()) {
        Format::Json
    } else {
        Format::Csv
    };
    let (entries, _) = match entries(&inner, &reader, &query).await {
        Ok(entries) => entries,
        Err(problem) => return failed(&inner, &reader, &problem),
    };
    let mut text = format.head(COLUMNS);
    for (index, entry) in entries.iter().enumerate() {
        text.push_str(&format.row(COLUMNS, &row(entry), index));
    }
    text.push_str(format.foot());
    ([(header::CONTENT_TYPE, format.content_type())], text).into_response()
}
