//! The services page: version, health and counts of each service in each environment.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use foreshore_model::api::ServiceStatus;

use crate::cell::{Button, Cell, Column, Row, Tone};
use crate::listing::{Facts, Listing, contains};
use crate::project::workload::Workload;
use crate::query::href;

/// Every service in every environment.
pub(crate) struct Services;

/// A service in an environment, from its release and from its workloads.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) service: String,
    pub(crate) environment: String,
    pub(crate) release: Option<ServiceStatus>,
    pub(crate) owner: String,
    pub(crate) counts: Vec<Count>,
    pub(crate) restarts: i64,
    pub(crate) failing: i64,
    /// Set by hand and not yet carried out, by workload.
    pub(crate) pending: BTreeMap<String, i64>,
}

/// One workload of a service in one site.
#[derive(Debug, Clone)]
pub(crate) struct Count {
    pub(crate) site: Arc<str>,
    pub(crate) workload: Arc<Workload>,
    /// Least and most, where an autoscaler owns the count.
    pub(crate) autoscaled: Option<(i64, i64)>,
}

const COLUMNS: &[Column] = &[
    Column::text("service", "Service"),
    Column::text("environment", "Env"),
    Column::text("health", "Health"),
    Column::unsorted("ready", "Ready"),
    Column::text("version", "Version"),
    Column::number("number", "No."),
    Column::number("age", "Released"),
    Column::text("by", "By"),
    Column::number("restarts", "Restarts"),
    Column::text("owner", "Owner"),
    Column::buttons(),
];

impl Item {
    fn new(environment: &str, service: &str) -> Self {
        Self {
            service: service.to_owned(),
            environment: environment.to_owned(),
            release: None,
            owner: String::new(),
            counts: Vec::new(),
            restarts: 0,
            failing: 0,
            pending: BTreeMap::new(),
        }
    }

    /// One word for release and cluster together, and why.
    pub(crate) fn health(&self) -> (Tone, String, String) {
        let word = self.release.as_ref().map(ServiceStatus::health);
        let why = || {
            let outcomes = self.release.iter().flat_map(|release| &release.outcomes);
            let causes: Vec<String> = outcomes
                .flat_map(|outcome| &outcome.causes)
                .map(|cause| format!("{}: {} {}", cause.object, cause.reason, cause.message))
                .collect();
            causes.join("; ")
        };
        let short = self
            .counts
            .iter()
            .any(|count| count.workload.ready < count.workload.desired);
        match word {
            Some(word @ ("failed" | "degraded")) => (Tone::Bad, word.to_owned(), why()),
            Some("healthy") | None if self.failing > 0 => (
                Tone::Bad,
                "pods failing".to_owned(),
                format!("{} pods fail", self.failing),
            ),
            Some("healthy") | None if short => {
                (Tone::Busy, "not all ready".to_owned(), String::new())
            }
            Some("healthy") => (Tone::Good, "healthy".to_owned(), String::new()),
            Some(word) => (Tone::Busy, word.to_owned(), why()),
            None => (
                Tone::Quiet,
                "ready".to_owned(),
                "not released by this server".to_owned(),
            ),
        }
    }

    fn version(&self) -> String {
        if let Some(release) = &self.release {
            return release.release.artifact_id.to_string();
        }
        self.counts
            .first()
            .map_or_else(String::new, |count| count.workload.version.clone())
    }

    pub(crate) fn path(&self) -> String {
        format!("/services/{}", self.service)
    }
}

/// Puts releases and workloads of all clusters together.
pub(crate) fn gather(facts: &Facts) -> Vec<Item> {
    let mut items: BTreeMap<(String, String), Item> = BTreeMap::new();
    for status in &facts.world.status.services {
        let (environment, service) = (status.environment.as_str(), status.service.as_str());
        let mut item = Item::new(environment, service);
        item.release = Some(status.clone());
        let replicas = status.operations.replicas.iter();
        item.pending = replicas
            .map(|(name, count)| (name.clone(), i64::from(*count)))
            .collect();
        items.insert((environment.to_owned(), service.to_owned()), item);
    }
    for site in &facts.sites {
        let name: Arc<str> = site.name.as_str().into();
        let kinds = site.kinds();
        for workload in kinds.workloads() {
            let (Some(environment), Some(service)) = (&workload.environment, &workload.service)
            else {
                continue;
            };
            let key = (environment.clone(), service.clone());
            let item = items
                .entry(key)
                .or_insert_with(|| Item::new(environment, service));
            if let Some(owner) = &workload.owner {
                item.owner.clone_from(owner);
            }
            let autoscaled = kinds
                .autoscaler_of(workload)
                .map(|scaler| (scaler.min, scaler.max));
            item.counts.push(Count {
                site: name.clone(),
                workload: workload.clone(),
                autoscaled,
            });
        }
        for pod in kinds.pods.values() {
            let (Some(service), Some(environment)) = kinds.place_of(pod) else {
                continue;
            };
            if let Some(item) = items.get_mut(&(environment, service)) {
                item.restarts += pod.restarts();
                item.failing += i64::from(pod.tone == Tone::Bad);
            }
        }
    }
    let mut items: Vec<Item> = items.into_values().collect();
    for item in &mut items {
        // What is carried out is not pending any more.
        let counts = &item.counts;
        item.pending.retain(|name, wanted| {
            counts
                .iter()
                .any(|count| count.workload.name == *name && count.workload.desired != *wanted)
        });
    }
    items
}

impl Listing for Services {
    type Item = Item;

    fn path(&self) -> &'static str {
        "/services"
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn facets(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("environment", "Environment"),
            ("state", "State"),
            ("owner", "Owner"),
            ("site", "Site"),
        ]
    }

    fn gather(&self, facts: &Facts) -> Vec<Item> {
        gather(facts)
    }

    fn facet<'a>(&self, item: &'a Item, key: &str) -> Cow<'a, str> {
        match key {
            "environment" => Cow::Borrowed(&item.environment),
            "state" => Cow::Owned(item.health().1),
            "owner" => Cow::Borrowed(&item.owner),
            "site" => item
                .counts
                .first()
                .map_or(Cow::Borrowed(""), |count| Cow::Borrowed(&*count.site)),
            _ => Cow::Borrowed(""),
        }
    }

    fn mentions(&self, item: &Item, word: &str) -> bool {
        contains(&item.service, word)
            || contains(&item.environment, word)
            || contains(&item.owner, word)
            || contains(&item.version(), word)
            || item
                .release
                .as_ref()
                .is_some_and(|release| contains(&release.release.actor.name, word))
    }

    fn compare(&self, column: &str, one: &Item, other: &Item) -> Ordering {
        let at = |item: &Item| item.release.as_ref().map(|release| release.release.at);
        let number = |item: &Item| {
            item.release
                .as_ref()
                .map(|release| release.release.sequence)
        };
        let by = |item: &Item| {
            item.release
                .as_ref()
                .map(|release| release.release.actor.name.clone())
        };
        let name = |item: &Item| (item.service.clone(), item.environment.clone());
        match column {
            "service" => one.service.cmp(&other.service),
            "environment" => one.environment.cmp(&other.environment),
            "health" => one.health().1.cmp(&other.health().1),
            "version" => one.version().cmp(&other.version()),
            "number" => number(one).cmp(&number(other)),
            "age" => at(other).cmp(&at(one)),
            "by" => by(one).cmp(&by(other)),
            "restarts" => one.restarts.cmp(&other.restarts),
            "owner" => one.owner.cmp(&other.owner),
            _ => one
                .health()
                .0
                .cmp(&other.health().0)
                .then_with(|| name(one).cmp(&name(other))),
        }
    }

    fn row(&self, item: &Item, facts: &Facts) -> Row {
        let (tone, word, detail) = item.health();
        let release = item.release.as_ref().map(|status| &status.release);
        let held = item
            .release
            .as_ref()
            .and_then(|status| status.hold.as_ref());
        let mut health = vec![Cell::status(tone, word, detail)];
        if let Some(hold) = held {
            health.push(Cell::status(
                Tone::Busy,
                "held",
                format!("{} by {}", hold.reason, hold.actor.name),
            ));
        }
        Row {
            key: format!("{}/{}", item.environment, item.service),
            cells: vec![
                Cell::link(item.path(), item.service.as_str()),
                Cell::text(item.environment.as_str()),
                Cell::Joined(health),
                Cell::Lines(
                    item.counts
                        .iter()
                        .map(|count| self::count(item, count, facts))
                        .collect(),
                ),
                Cell::Code(item.version()),
                release.map_or(Cell::Empty, |release| {
                    Cell::Number(i64::try_from(release.sequence).unwrap_or(0))
                }),
                Cell::age(release.map(|release| release.at)),
                release.map_or(Cell::Empty, |release| {
                    Cell::text(release.actor.name.as_str())
                }),
                Cell::Number(item.restarts),
                Cell::text(item.owner.as_str()),
                Cell::Buttons(buttons(item)),
            ],
        }
    }

    fn empty(&self, _: &Facts) -> String {
        "Nothing is released yet. In a service's repository, run: foreshore run build".to_owned()
    }
}

/// Ready and desired in one site, with the buttons that change it.
pub(crate) fn count(item: &Item, count: &Count, facts: &Facts) -> Cell {
    let workload = &count.workload;
    let tone = match (workload.ready >= workload.desired, workload.desired) {
        (true, 0) => Tone::Quiet,
        (true, _) => Tone::Good,
        (false, _) if workload.ready == 0 => Tone::Bad,
        (false, _) => Tone::Busy,
    };
    let mut cells = vec![Cell::status(
        tone,
        format!("{}/{}", workload.ready, workload.desired),
        format!("{} {}", workload.kind, workload.name),
    )];
    if let Some(wanted) = item.pending.get(&workload.name) {
        cells.push(Cell::status(
            Tone::Busy,
            format!("→ {wanted}"),
            "set, not yet carried out",
        ));
    }
    if let Some((least, most)) = count.autoscaled {
        cells.push(Cell::Quiet(format!("auto {least}–{most}")));
    } else if workload.scalable() && item.release.is_some() && facts.may_act {
        let base = item
            .pending
            .get(&workload.name)
            .copied()
            .unwrap_or(workload.desired);
        let button = |by: i64, text, word| Button {
            to: href(
                "/act/scale",
                &[
                    ("environment", &item.environment),
                    ("service", &item.service),
                    ("workload", &workload.name),
                    ("replicas", &(base + by).max(0).to_string()),
                ],
            ),
            text,
            title: format!("{word} {} in {}", item.service, item.environment),
        };
        cells.push(Cell::Buttons(vec![
            button(-1, "−", "One pod less of"),
            button(1, "+", "One pod more of"),
        ]));
    }
    if item.counts.len() > 1 || facts.sites.len() > 1 {
        cells.push(Cell::Quiet(if facts.sites.len() > 1 {
            format!("{} {}", count.site, workload.name)
        } else {
            workload.name.clone()
        }));
    }
    Cell::Joined(cells)
}

fn buttons(item: &Item) -> Vec<Button> {
    let place = [
        ("environment", item.environment.as_str()),
        ("service", item.service.as_str()),
    ];
    let mut buttons = vec![Button {
        to: href("/logs", &place),
        text: "Logs",
        title: format!("Logs of {} in {}", item.service, item.environment),
    }];
    if !item.counts.is_empty() {
        buttons.push(Button {
            to: href("/act/restart", &place),
            text: "Restart",
            title: format!("Restart {} in {}", item.service, item.environment),
        });
    }
    buttons
}
