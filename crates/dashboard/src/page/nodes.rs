//! The nodes page: ready, heartbeat by its own limit, how full, and cordon and drain.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::cell::{Button, Cell, Column, Limits, Row, Tone};
use crate::listing::{Facts, Listing, contains};
use crate::page::{cpu, memory, pods};
use crate::project::node::{Node, Ready};
use crate::query::href;
use crate::site::Kinds;
use crate::usage::Taken;

/// All nodes of all clusters.
pub(crate) struct Nodes;

pub(crate) struct Item {
    site: Arc<str>,
    node: Arc<Node>,
    heartbeat: Option<Timestamp>,
    load: Load,
    taken: Option<Taken>,
}

/// What the pods of a node ask for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Load {
    pub(crate) pods: i64,
    pub(crate) cpu_millis: i64,
    pub(crate) memory_bytes: i64,
}

/// A node says every ten seconds that it is alive; a minute of silence is odd.
pub(crate) const HEARTBEAT: Limits = Limits { busy: 60, bad: 120 };

const COLUMNS: &[Column] = &[
    Column::text("name", "Node"),
    Column::text("ready", "Ready"),
    Column::text("heartbeat", "Heartbeat"),
    Column::number("cpu", "CPU asked"),
    Column::number("memory", "Memory asked"),
    Column::number("cpu-used", "CPU used"),
    Column::number("memory-used", "Memory used"),
    Column::number("pods", "Pods"),
    Column::unsorted("conditions", "Conditions"),
    Column::text("version", "Version"),
    Column::text("site", "Site"),
    Column::text("zone", "Zone"),
    Column::number("age", "Age"),
    Column::buttons(),
];

/// Adds up what runs on each node.
pub(crate) fn loads(kinds: &Kinds) -> BTreeMap<&str, Load> {
    let mut loads: BTreeMap<&str, Load> = BTreeMap::new();
    for pod in kinds
        .pods
        .values()
        .filter(|pod| !pod.finished() && !pod.node.is_empty())
    {
        let load = loads.entry(&pod.node).or_default();
        load.pods += 1;
        load.cpu_millis += pod.cpu_millis;
        load.memory_bytes += pod.memory_bytes;
    }
    loads
}

/// What a node says of itself, as one word.
pub(crate) fn state(node: &Node) -> (Tone, &'static str) {
    match (node.ready, node.cordoned) {
        (Ready::No, _) => (Tone::Bad, "not ready"),
        (Ready::Unknown, _) => (Tone::Bad, "unknown"),
        (Ready::Yes, true) => (Tone::Busy, "cordoned"),
        (Ready::Yes, false) => (Tone::Good, "ready"),
    }
}

impl Item {
    fn tone(&self) -> Tone {
        let (tone, _) = state(&self.node);
        if tone == Tone::Good && !self.node.pressures.is_empty() {
            Tone::Busy
        } else {
            tone
        }
    }
}

impl Listing for Nodes {
    type Item = Item;

    fn path(&self) -> &'static str {
        "/nodes"
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn facets(&self) -> &'static [(&'static str, &'static str)] {
        &[("site", "Site"), ("state", "State"), ("zone", "Zone")]
    }

    fn gather(&self, facts: &Facts) -> Vec<Item> {
        let mut items = Vec::new();
        for site in &facts.sites {
            let name: Arc<str> = site.name.as_str().into();
            let kinds = site.kinds();
            let loads = loads(&kinds);
            items.extend(kinds.nodes.values().map(|node| {
                Item {
                    site: name.clone(),
                    heartbeat: kinds.heartbeat(node),
                    load: loads.get(node.name.as_str()).copied().unwrap_or_default(),
                    taken: kinds
                        .usage
                        .as_ref()
                        .and_then(|usage| usage.nodes.get(&node.name).copied()),
                    node: node.clone(),
                }
            }));
        }
        items
    }

    fn facet<'a>(&self, item: &'a Item, key: &str) -> Cow<'a, str> {
        Cow::Borrowed(match key {
            "site" => &item.site,
            "state" => state(&item.node).1,
            "zone" => item.node.zone.as_deref().unwrap_or_default(),
            _ => "",
        })
    }

    fn mentions(&self, item: &Item, word: &str) -> bool {
        let node = &item.node;
        [&node.name, &node.version, &node.address, &node.reason]
            .into_iter()
            .any(|text| contains(text, word))
    }

    fn compare(&self, column: &str, one: &Item, other: &Item) -> Ordering {
        let (left, right) = (&one.node, &other.node);
        match column {
            "name" => left.name.cmp(&right.name),
            "ready" => left.ready.cmp(&right.ready),
            "heartbeat" => other.heartbeat.cmp(&one.heartbeat),
            "cpu" => one.load.cpu_millis.cmp(&other.load.cpu_millis),
            "memory" => one.load.memory_bytes.cmp(&other.load.memory_bytes),
            "cpu-used" | "memory-used" => {
                let of = |item: &Item| {
                    item.taken.map(|taken| match column {
                        "cpu-used" => taken.cpu_millis,
                        _ => taken.memory_bytes,
                    })
                };
                of(one).cmp(&of(other))
            }
            "pods" => one.load.pods.cmp(&other.load.pods),
            "version" => left.version.cmp(&right.version),
            "site" => one.site.cmp(&other.site),
            "zone" => left.zone.cmp(&right.zone),
            "age" => right.created.cmp(&left.created),
            _ => one
                .tone()
                .cmp(&other.tone())
                .then_with(|| (&one.site, &left.name).cmp(&(&other.site, &right.name))),
        }
    }

    fn row(&self, item: &Item, facts: &Facts) -> Row {
        let node = &item.node;
        let (tone, word) = state(node);
        let detail = if word == "ready" {
            String::new()
        } else {
            format!("{} {}", node.reason, node.message)
        };
        let share = |used: i64, of: i64, text: String, label| Cell::Bar {
            used,
            of,
            text,
            label,
        };
        let pressures = if node.pressures.is_empty() {
            Cell::Quiet("none".to_owned())
        } else {
            Cell::status(Tone::Bad, node.pressures.join(", "), "")
        };
        Row {
            key: format!("{}/{}", item.site, node.name),
            cells: vec![
                Cell::link(
                    href("/pods", &[("site", &item.site), ("node", &node.name)]),
                    node.name.as_str(),
                ),
                Cell::status(tone, word, detail),
                item.heartbeat.map_or_else(
                    || Cell::Quiet("never".to_owned()),
                    |at| Cell::Heartbeat(at.min(facts.now), HEARTBEAT),
                ),
                share(
                    item.load.cpu_millis,
                    node.cpu_millis,
                    format!("{} of {}", cpu(item.load.cpu_millis), cpu(node.cpu_millis)),
                    "CPU asked for",
                ),
                share(
                    item.load.memory_bytes,
                    node.memory_bytes,
                    format!(
                        "{} of {}",
                        memory(item.load.memory_bytes),
                        memory(node.memory_bytes)
                    ),
                    "Memory asked for",
                ),
                pods::bar(
                    item.taken.map(|taken| taken.cpu_millis),
                    node.cpu_millis,
                    cpu,
                    "CPU used",
                ),
                pods::bar(
                    item.taken.map(|taken| taken.memory_bytes),
                    node.memory_bytes,
                    memory,
                    "Memory used",
                ),
                share(
                    item.load.pods,
                    node.pods_max,
                    format!("{} of {}", item.load.pods, node.pods_max),
                    "Pods",
                ),
                pressures,
                Cell::Text(format!("{} {}", node.version, node.runtime)),
                Cell::text(&*item.site),
                node.zone
                    .as_ref()
                    .map_or(Cell::Empty, |zone| Cell::text(zone.as_str())),
                Cell::age(node.created),
                Cell::Buttons(buttons(item)),
            ],
        }
    }

    fn empty(&self, facts: &Facts) -> String {
        pods::nothing(facts, "are no nodes")
    }
}

fn buttons(item: &Item) -> Vec<Button> {
    let place = [("site", &*item.site), ("node", &item.node.name)];
    let (verb, text) = if item.node.cordoned {
        ("/act/uncordon", "Uncordon")
    } else {
        ("/act/cordon", "Cordon")
    };
    vec![
        Button {
            to: href(verb, &place),
            text,
            title: format!("{text} {}", item.node.name),
        },
        Button {
            to: href("/act/drain", &place),
            text: "Drain",
            title: format!("Drain {}", item.node.name),
        },
    ]
}
