//! Finds pages, services, pods and nodes by name: for the search page and the command palette.

use serde::Serialize;

use crate::frame::SECTIONS;
use crate::listing::{Facts, contains};
use crate::page::{pods, services};
use crate::query::{Query, href};

const HITS_MAX: usize = 60;
const HITS_OF_A_KIND: usize = 20;

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Hit {
    pub(crate) kind: &'static str,
    pub(crate) text: String,
    pub(crate) to: String,
    /// `changes` for what changes something after a confirmation.
    pub(crate) risk: &'static str,
}

fn hit(kind: &'static str, text: impl Into<String>, to: impl Into<String>) -> Hit {
    Hit {
        kind,
        text: text.into(),
        to: to.into(),
        risk: "",
    }
}

pub(crate) fn search(query: &Query, facts: &Facts) -> Vec<Hit> {
    let words = query.words();
    let fits = |text: &str| words.iter().all(|word| contains(text, word));
    let mut hits: Vec<Hit> = SECTIONS
        .iter()
        .filter(|(_, name, _)| fits(name))
        .map(|(path, name, _)| hit("page", *name, *path))
        .collect();
    if words.is_empty() {
        return hits;
    }
    let items = services::gather(facts);
    let mut seen: Vec<&str> = Vec::new();
    for item in &items {
        if fits(&item.service)
            && !seen.contains(&item.service.as_str())
            && seen.len() < HITS_OF_A_KIND
        {
            seen.push(&item.service);
            hits.push(hit("service", item.service.as_str(), item.path()));
        }
    }
    for site in &facts.sites {
        let kinds = site.kinds();
        let found = kinds
            .nodes
            .values()
            .filter(|node| fits(&node.name))
            .take(HITS_OF_A_KIND);
        hits.extend(found.map(|node| {
            hit(
                "node",
                node.name.as_str(),
                href("/nodes", &[("q", &node.name)]),
            )
        }));
    }
    let found = pods::gather(facts)
        .into_iter()
        .filter(|item| fits(&item.pod.name))
        .take(HITS_OF_A_KIND);
    hits.extend(found.map(|item| {
        hit(
            "pod",
            format!("{} ({})", item.pod.name, item.pod.namespace),
            item.path(),
        )
    }));
    if facts.may_act {
        actions(&items, &words, facts, &mut hits);
    }
    hits.truncate(HITS_MAX);
    hits
}

/// What could be done with a service that the words name.
fn actions(items: &[services::Item], words: &[String], facts: &Facts, hits: &mut Vec<Hit>) {
    for item in items {
        let place = [
            ("environment", item.environment.as_str()),
            ("service", item.service.as_str()),
        ];
        let mut offer = |verb: &str, path: &str| {
            let text = format!("{verb} {} in {}", item.service, item.environment);
            if words.iter().all(|word| contains(&text, word)) && hits.len() < HITS_MAX {
                hits.push(Hit {
                    kind: "action",
                    text,
                    to: href(path, &place),
                    risk: "changes",
                });
            }
        };
        if !item.counts.is_empty() {
            offer("Restart", "/act/restart");
        }
        if item.release.is_some() {
            offer("Roll back", "/act/rollback");
            offer("Hold", "/act/hold");
        }
        if facts
            .world
            .environment(&item.environment)
            .is_some_and(|environment| environment.promotes_from.is_some())
        {
            offer("Promote", "/act/promote");
        }
    }
}
