//! The checks page: everything that is measured about services, with its verdict.

use std::borrow::Cow;
use std::cmp::Ordering;

use foreshore_model::api::ServiceStatus;
use foreshore_model::{Outcome, Phase, Verdict};
use jiff::Timestamp;

use crate::cell::{Cell, Column, Row, Tone};
use crate::listing::{Facts, Listing, contains};
use crate::page::{nodes, pods};
use crate::project::pod::OwnCheck;
use crate::query::href;

/// Rollouts, verdicts of releases, the applications' own checks, heartbeats of nodes and clusters.
pub(crate) struct Checks;

pub(crate) struct Item {
    kind: &'static str,
    target: String,
    environment: String,
    site: String,
    tone: Tone,
    word: String,
    why: String,
    at: Option<Timestamp>,
    to: String,
}

const COLUMNS: &[Column] = &[
    Column::text("target", "Target"),
    Column::text("kind", "Check"),
    Column::text("result", "Result"),
    Column::unsorted("why", "Why"),
    Column::number("since", "Since"),
    Column::text("environment", "Env"),
    Column::text("site", "Site"),
];

impl Item {
    fn key(&self) -> String {
        format!(
            "{}/{}/{}/{}",
            self.kind, self.environment, self.site, self.target
        )
    }
}

/// Collects all checks; the overview counts them too.
pub(crate) fn gather(facts: &Facts) -> Vec<Item> {
    let mut items = Vec::new();
    releases(facts, &mut items);
    own_checks(facts, &mut items);
    machines(facts, &mut items);
    items
}

pub(crate) fn counts(items: &[Item]) -> (usize, usize) {
    let judged = items
        .iter()
        .filter(|item| !matches!(item.tone, Tone::Quiet | Tone::Unknown));
    let failing = items.iter().filter(|item| item.tone == Tone::Bad).count();
    (judged.count() - failing, failing)
}

fn releases(facts: &Facts, items: &mut Vec<Item>) {
    for status in &facts.world.status.services {
        let to = format!("/services/{}", status.service);
        for outcome in status
            .outcomes
            .iter()
            .filter(|outcome| outcome.sequence == status.release.sequence)
        {
            let tone = match outcome.phase {
                Phase::Healthy => Tone::Good,
                Phase::Failed | Phase::Degraded => Tone::Bad,
                Phase::Retired | Phase::Superseded => Tone::Quiet,
                Phase::Applying | Phase::Progressing => Tone::Busy,
            };
            let causes: Vec<String> = outcome
                .causes
                .iter()
                .map(|cause| format!("{} {}: {}", cause.object, cause.reason, cause.message))
                .collect();
            items.push(Item {
                kind: "rollout",
                target: status.service.to_string(),
                environment: status.environment.to_string(),
                site: outcome.site.to_string(),
                tone,
                word: outcome.phase.word().to_owned(),
                why: causes.join("; "),
                at: Some(outcome.at),
                to: to.clone(),
            });
        }
        for outcome in &status.outcomes {
            let made = outcome.verdicts.iter();
            items.extend(made.map(|verdict| made_after(status, outcome, verdict)));
        }
        for verdict in &status.release.verdicts {
            items.push(Item {
                kind: "verdict",
                target: format!("{}: {}", status.service, verdict.check),
                environment: verdict.environment.to_string(),
                site: String::new(),
                tone: if verdict.passed {
                    Tone::Good
                } else {
                    Tone::Bad
                },
                word: if verdict.passed { "passed" } else { "failed" }.to_owned(),
                why: format!("measured before release {}", status.release.sequence),
                at: Some(verdict.at),
                to: to.clone(),
            });
        }
    }
}

/// A verdict on what runs, made once it was healthy.
fn made_after(status: &ServiceStatus, outcome: &Outcome, verdict: &Verdict) -> Item {
    let gate = if verdict.gate { ", a gate" } else { "" };
    Item {
        kind: "check",
        target: format!("{}: {}", status.service, verdict.check),
        environment: verdict.environment.to_string(),
        site: outcome.site.to_string(),
        tone: match (verdict.passed, verdict.unknown) {
            (true, _) => Tone::Good,
            (false, true) => Tone::Unknown,
            (false, false) => Tone::Bad,
        },
        word: verdict.word().to_owned(),
        why: format!("release {}{gate}: {}", outcome.sequence, verdict.summary),
        at: Some(verdict.at),
        to: format!("/services/{}", status.service),
    }
}

fn own_checks(facts: &Facts, items: &mut Vec<Item>) {
    for found in pods::gather(facts) {
        let pod = &found.pod;
        for container in pod
            .containers
            .iter()
            .filter(|_| pod.own_check() != OwnCheck::None)
        {
            let Some(probe) = &container.probe else {
                continue;
            };
            let (tone, word) = match (container.ready, pod.terminating) {
                (true, _) => (Tone::Good, "OK"),
                (false, true) => (Tone::Quiet, "leaving"),
                (false, false) => (Tone::Bad, "failing"),
            };
            let state = if container.ready {
                String::new()
            } else {
                format!(" ({})", container.word)
            };
            items.push(Item {
                kind: "own check",
                target: format!("{} {}", pod.name, container.name),
                environment: found.environment.clone().unwrap_or_default(),
                site: found.site.to_string(),
                tone,
                word: word.to_owned(),
                why: format!("{probe}{state}"),
                at: pod.created,
                to: found.path(),
            });
        }
    }
}

fn machines(facts: &Facts, items: &mut Vec<Item>) {
    for site in &facts.sites {
        let contact = site.contact();
        let (tone, word, why) = match &contact.lost {
            Some((_, why)) => (Tone::Bad, "gone", why.clone()),
            None if contact.last.is_none() => (Tone::Busy, "connecting", String::new()),
            None => (Tone::Good, "answers", String::new()),
        };
        items.push(Item {
            kind: "cluster",
            target: site.name.to_string(),
            environment: String::new(),
            site: site.name.to_string(),
            tone,
            word: word.to_owned(),
            why,
            at: contact.lost.map(|(since, _)| since),
            to: "/nodes".to_owned(),
        });
        let kinds = site.kinds();
        for node in kinds.nodes.values() {
            let heartbeat = kinds.heartbeat(node);
            let late = heartbeat.map_or(Tone::Unknown, |at| nodes::HEARTBEAT.tone(at, facts.now));
            let (ready, word) = nodes::state(node);
            let (tone, word) = if late == Tone::Bad {
                (Tone::Bad, "silent")
            } else {
                (ready, word)
            };
            items.push(Item {
                kind: "node",
                target: node.name.clone(),
                environment: String::new(),
                site: site.name.to_string(),
                tone,
                word: word.to_owned(),
                why: node.reason.clone(),
                at: heartbeat,
                to: href("/nodes", &[("q", &node.name)]),
            });
        }
    }
}

impl Listing for Checks {
    type Item = Item;

    fn path(&self) -> &'static str {
        "/checks"
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn facets(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("kind", "Check"),
            ("result", "Result"),
            ("environment", "Environment"),
            ("site", "Site"),
        ]
    }

    fn gather(&self, facts: &Facts) -> Vec<Item> {
        gather(facts)
    }

    fn facet<'a>(&self, item: &'a Item, key: &str) -> Cow<'a, str> {
        Cow::Borrowed(match key {
            "kind" => item.kind,
            "result" => &item.word,
            "environment" => &item.environment,
            "site" => &item.site,
            _ => "",
        })
    }

    fn mentions(&self, item: &Item, word: &str) -> bool {
        [&item.target, &item.word, &item.why]
            .into_iter()
            .any(|text| contains(text, word))
            || contains(item.kind, word)
    }

    fn compare(&self, column: &str, one: &Item, other: &Item) -> Ordering {
        match column {
            "target" => one.target.cmp(&other.target),
            "kind" => one.kind.cmp(other.kind),
            "result" => one.word.cmp(&other.word),
            "since" => other.at.cmp(&one.at),
            "environment" => one.environment.cmp(&other.environment),
            "site" => one.site.cmp(&other.site),
            _ => one
                .tone
                .cmp(&other.tone)
                .then_with(|| one.kind.cmp(other.kind))
                .then_with(|| one.target.cmp(&other.target))
                .then_with(|| one.environment.cmp(&other.environment)),
        }
    }

    fn row(&self, item: &Item, _: &Facts) -> Row {
        Row {
            key: item.key(),
            cells: vec![
                Cell::link(item.to.as_str(), item.target.as_str()),
                Cell::text(item.kind),
                Cell::status(item.tone, item.word.as_str(), ""),
                Cell::text(item.why.as_str()),
                Cell::age(item.at),
                Cell::text(item.environment.as_str()),
                Cell::text(item.site.as_str()),
            ],
        }
    }

    fn empty(&self, facts: &Facts) -> String {
        pods::nothing(facts, "is nothing that could be checked")
    }
}
