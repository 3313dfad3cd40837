//! The events page: one line for each cause, kept for a day.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

use crate::cell::{Cell, Column, Row, Tone};
use crate::fold::Cause;
use crate::listing::{Facts, Listing, contains};
use crate::page::pods;
use crate::query::href;

/// Folded events of all clusters.
pub(crate) struct Events;

pub(crate) struct Item {
    site: Arc<str>,
    key: String,
    cause: Cause,
}

const COLUMNS: &[Column] = &[
    Column::text("reason", "Reason"),
    Column::text("object", "About"),
    Column::unsorted("message", "Message"),
    Column::number("count", "Count"),
    Column::unsorted("rate", "Last 24 h"),
    Column::number("last", "Last"),
    Column::number("first", "First"),
    Column::unsorted("nodes", "Nodes"),
    Column::text("namespace", "Namespace"),
    Column::text("site", "Site"),
];

/// How long a warning counts as present trouble, in seconds.
const RECENT: i64 = 600;

impl Listing for Events {
    type Item = Item;

    fn path(&self) -> &'static str {
        "/events"
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn facets(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("type", "Type"),
            ("site", "Site"),
            ("namespace", "Namespace"),
            ("reason", "Reason"),
        ]
    }

    fn gather(&self, facts: &Facts) -> Vec<Item> {
        let mut items = Vec::new();
        for site in &facts.sites {
            let name: Arc<str> = site.name.as_str().into();
            items.extend(site.kinds().events.causes().map(|(key, cause)| Item {
                site: name.clone(),
                key: format!("{name}/{key}"),
                cause: cause.clone(),
            }));
        }
        items
    }

    fn facet<'a>(&self, item: &'a Item, key: &str) -> Cow<'a, str> {
        Cow::Borrowed(match key {
            "type" => {
                if item.cause.warning {
                    "warning"
                } else {
                    "normal"
                }
            }
            "site" => &item.site,
            "namespace" => &item.cause.namespace,
            "reason" => &item.cause.reason,
            _ => "",
        })
    }

    fn mentions(&self, item: &Item, word: &str) -> bool {
        let cause = &item.cause;
        [&cause.owner, &cause.reason, &cause.sample, &cause.namespace].into_iter().any(|text| contains(text, word))
            || cause.nodes.iter().any(|node| contains(node, word))
            // `web-7c4d5f6b8-x2xzq` finds what is folded under `web`.
            || (!cause.owner.is_empty() && word.starts_with(&format!("{}-", cause.owner.to_lowercase())))
    }

    fn compare(&self, column: &str, one: &Item, other: &Item) -> Ordering {
        let (left, right) = (&one.cause, &other.cause);
        match column {
            "reason" => left.reason.cmp(&right.reason),
            "object" => (&left.kind, &left.owner).cmp(&(&right.kind, &right.owner)),
            "count" => left.count.cmp(&right.count),
            "last" => right.last.cmp(&left.last),
            "first" => right.first.cmp(&left.first),
            "namespace" => left.namespace.cmp(&right.namespace),
            "site" => one.site.cmp(&other.site),
            _ => right
                .warning
                .cmp(&left.warning)
                .then_with(|| right.last.cmp(&left.last))
                .then_with(|| one.key.cmp(&other.key)),
        }
    }

    fn row(&self, item: &Item, facts: &Facts) -> Row {
        let cause = &item.cause;
        let tone = match (
            cause.warning,
            crate::age::seconds(cause.last, facts.now) < RECENT,
        ) {
            (true, true) => Tone::Bad,
            (true, false) => Tone::Busy,
            (false, _) => Tone::Quiet,
        };
        let about = format!("{} {}", cause.kind, cause.owner);
        let about = match cause.kind.as_str() {
            "Pod" | "ReplicaSet" | "Deployment" => Cell::link(
                href(
                    "/pods",
                    &[("q", &cause.owner), ("namespace", &cause.namespace)],
                ),
                about,
            ),
            "Node" => Cell::link(href("/nodes", &[("q", &cause.owner)]), about),
            _ => Cell::Text(about),
        };
        Row {
            key: item.key.clone(),
            cells: vec![
                Cell::status(tone, cause.reason.as_str(), ""),
                about,
                Cell::text(cause.sample.as_str()),
                Cell::Number(cause.count),
                Cell::Spark(cause.rate(facts.now)),
                Cell::Age(cause.last),
                Cell::Age(cause.first),
                Cell::Text(cause.nodes.join(", ")),
                Cell::text(cause.namespace.as_str()),
                Cell::text(&*item.site),
            ],
        }
    }

    fn empty(&self, facts: &Facts) -> String {
        pods::nothing(facts, "has been no event in the last 24 hours")
    }
}
