//! The pods page: status, readiness of each container, restarts, the application's own check, where.

use std::borrow::Cow;
use std::cmp;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::cell::{Button, Cell, Column, Row, Tone};
use crate::listing::{Facts, Listing, contains};
use crate::page::{cpu, memory};
use crate::project::pod::{OwnCheck, Pod};
use crate::query::href;
use crate::usage::Taken;

/// All pods of all clusters.
pub(crate) struct Pods;

/// A pod and where it was found.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) site: Arc<str>,
    pub(crate) pod: Arc<Pod>,
    pub(crate) service: Option<String>,
    pub(crate) environment: Option<String>,
    pub(crate) taken: Option<Taken>,
}

impl Item {
    fn place(&self) -> (&str, &str, &str) {
        (&self.site, &self.pod.namespace, &self.pod.name)
    }

    pub(crate) fn path(&self) -> String {
        format!(
            "/pods/{}/{}/{}",
            self.site, self.pod.namespace, self.pod.name
        )
    }

    fn key(&self) -> String {
        format!("{}/{}/{}", self.site, self.pod.namespace, self.pod.name)
    }
}

const COLUMNS: &[Column] = &[
    Column::text("name", "Pod"),
    Column::text("status", "Status"),
    Column::text("check", "Own check"),
    Column::unsorted("ready", "Ready"),
    Column::number("restarts", "Restarts"),
    Column::unsorted("exit", "Last exit"),
    Column::text("service", "Service"),
    Column::text("environment", "Env"),
    Column::number("cpu", "CPU"),
    Column::number("memory", "Memory"),
    Column::text("address", "Address"),
    Column::text("node", "Node"),
    Column::number("age", "Age"),
    Column::buttons(),
];

/// How long one look at all pods serves everybody; whoever must not miss what came since looks again.
const KEPT: Duration = Duration::from_millis(100);

/// All pods as they were last looked at, the worst first.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    last: Mutex<Option<Look>>,
}

#[derive(Debug)]
struct Look {
    version: u64,
    at: Instant,
    items: Vec<Arc<Item>>,
}

/// Returns all pods, the worst first; one look serves all views of the same moment.
pub(crate) fn gather(facts: &Facts) -> Vec<Arc<Item>> {
    let mut last = facts
        .gathered
        .last
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let version = facts.version;
    if let Some(look) = last.as_ref() {
        if look.version == version {
            return look.items.clone();
        }
        if look.at.elapsed() < KEPT {
            facts.stale.store(true, Ordering::Relaxed);
            return look.items.clone();
        }
    }
    let items: Vec<Arc<Item>> = look(facts).into_iter().map(Arc::new).collect();
    *last = Some(Look {
        version,
        at: Instant::now(),
        items: items.clone(),
    });
    items
}

fn look(facts: &Facts) -> Vec<Item> {
    let mut items = Vec::new();
    for site in &facts.sites {
        let name: Arc<str> = site.name.as_str().into();
        let kinds = site.kinds();
        items.reserve(kinds.pods.len());
        for pod in kinds.pods.values() {
            let (service, environment) = kinds.place_of(pod);
            let environment = environment.or_else(|| {
                facts
                    .world
                    .of_namespace(&pod.namespace)
                    .map(ToString::to_string)
            });
            items.push(Item {
                site: name.clone(),
                pod: pod.clone(),
                service,
                environment,
                taken: kinds.taken_by(pod),
            });
        }
    }
    items.sort_by(worst_first);
    items
}

fn worst_first(one: &Item, other: &Item) -> cmp::Ordering {
    let order = one.pod.tone.cmp(&other.pod.tone);
    order.then_with(|| one.place().cmp(&other.place()))
}

impl Listing for Pods {
    type Item = Arc<Item>;

    fn path(&self) -> &'static str {
        "/pods"
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn facets(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("environment", "Environment"),
            ("site", "Site"),
            ("namespace", "Namespace"),
            ("state", "State"),
            ("service", "Service"),
            ("node", "Node"),
        ]
    }

    fn gather(&self, facts: &Facts) -> Vec<Arc<Item>> {
        gather(facts)
    }

    fn facet<'a>(&self, item: &'a Arc<Item>, key: &str) -> Cow<'a, str> {
        Cow::Borrowed(match key {
            "environment" => item.environment.as_deref().unwrap_or_default(),
            "site" => &item.site,
            "namespace" => &item.pod.namespace,
            "state" => match item.pod.tone {
                Tone::Bad => "failing",
                Tone::Busy | Tone::Unknown => "waiting",
                Tone::Good => "running",
                Tone::Quiet => "finished",
            },
            "service" => item.service.as_deref().unwrap_or_default(),
            "node" => &item.pod.node,
            _ => "",
        })
    }

    fn mentions(&self, item: &Arc<Item>, word: &str) -> bool {
        let pod = &item.pod;
        [
            &pod.name,
            &pod.namespace,
            &pod.word,
            &pod.node,
            &pod.address,
        ]
        .into_iter()
        .any(|text| contains(text, word))
            || item
                .service
                .as_deref()
                .is_some_and(|service| contains(service, word))
            || pod
                .containers
                .iter()
                .any(|container| contains(&container.image, word))
    }

    fn compare(&self, column: &str, one: &Arc<Item>, other: &Arc<Item>) -> cmp::Ordering {
        let (left, right) = (&one.pod, &other.pod);
        match column {
            "name" => left.name.cmp(&right.name),
            "status" => left.word.cmp(&right.word),
            "check" => left.own_check().cmp(&right.own_check()),
            "restarts" => left.restarts().cmp(&right.restarts()),
            "service" => one.service.cmp(&other.service),
            "environment" => one.environment.cmp(&other.environment),
            "cpu" => (one.taken.map(|taken| taken.cpu_millis), left.cpu_millis)
                .cmp(&(other.taken.map(|taken| taken.cpu_millis), right.cpu_millis)),
            "memory" => (one.taken.map(|taken| taken.memory_bytes), left.memory_bytes).cmp(&(
                other.taken.map(|taken| taken.memory_bytes),
                right.memory_bytes,
            )),
            "address" => left.address.cmp(&right.address),
            "node" => left.node.cmp(&right.node),
            // The youngest has the smallest age.
            "age" => right.created.cmp(&left.created),
            _ => worst_first(one, other),
        }
    }

    fn row(&self, item: &Arc<Item>, _: &Facts) -> Row {
        row(item)
    }

    fn empty(&self, facts: &Facts) -> String {
        nothing(facts, "no pods run")
    }
}

/// Says why a list of things in clusters is empty.
pub(crate) fn nothing(facts: &Facts, otherwise: &str) -> String {
    if facts.sites.is_empty() {
        return "No cluster is connected to this server, so nothing is known of pods and nodes."
            .to_owned();
    }
    let unread = facts
        .sites
        .iter()
        .filter(|site| site.contact().last.is_none())
        .count();
    if unread > 0 {
        return format!(
            "{unread} of {} clusters have not answered yet.",
            facts.sites.len()
        );
    }
    format!("Here {otherwise}.")
}

fn row(item: &Item) -> Row {
    let pod = &item.pod;
    let marks = pod.containers.iter().map(|container| {
        let tone = match (container.ready, container.running) {
            (true, _) => Tone::Good,
            (false, true) => Tone::Busy,
            (false, false) => pod.tone.min(Tone::Unknown),
        };
        (
            tone,
            format!(
                "{}: {}",
                container.name,
                if container.ready {
                    "ready"
                } else {
                    &container.word
                }
            ),
        )
    });
    let ready = pod
        .containers
        .iter()
        .filter(|container| container.ready)
        .count();
    let check = match pod.own_check() {
        OwnCheck::Ok => Cell::status(Tone::Good, "OK", own_check_words(pod)),
        OwnCheck::Failing => Cell::status(Tone::Bad, "failing", own_check_words(pod)),
        OwnCheck::None => Cell::Quiet("N/A".to_owned()),
    };
    let exit = pod.last_exit().map_or(Cell::Empty, |exit| {
        let tone = if exit.code == 0 {
            Tone::Quiet
        } else {
            Tone::Bad
        };
        let words = if exit.reason.is_empty() {
            format!("exit {}", exit.code)
        } else {
            format!("{} {}", exit.reason, exit.code)
        };
        Cell::Joined(vec![Cell::status(tone, words, ""), Cell::age(exit.at)])
    });
    let optional = |text: &Option<String>| {
        text.as_ref()
            .map_or(Cell::Empty, |text| Cell::text(text.as_str()))
    };
    let service = item.service.as_ref().map_or(Cell::Empty, |name| {
        Cell::link(format!("/services/{name}"), name.as_str())
    });
    Row {
        key: item.key(),
        cells: vec![
            Cell::link(item.path(), pod.name.as_str()),
            Cell::status(pod.tone, pod.word.as_str(), pod.message.as_str()),
            check,
            Cell::Joined(vec![
                Cell::Marks(marks.collect()),
                Cell::Text(format!("{ready}/{}", pod.containers.len())),
            ]),
            Cell::Number(pod.restarts()),
            exit,
            service,
            optional(&item.environment),
            cpu_bar(pod, item.taken),
            memory_bar(pod, item.taken),
            Cell::Code(pod.address.clone()),
            node_link(pod),
            Cell::age(pod.created),
            Cell::Buttons(buttons(item)),
        ],
    }
}

/// Leads to the node of a pod, if it is on one.
pub(crate) fn node_link(pod: &Pod) -> Cell {
    if pod.node.is_empty() {
        return Cell::Quiet("none yet".to_owned());
    }
    Cell::link(href("/nodes", &[("q", &pod.node)]), pod.node.as_str())
}

/// Processor that is taken, of what may be taken, or else of what was asked for.
pub(crate) fn cpu_bar(pod: &Pod, taken: Option<Taken>) -> Cell {
    let of = most(pod.cpu_limit_millis, pod.cpu_millis);
    bar(taken.map(|taken| taken.cpu_millis), of, cpu, "CPU taken")
}

/// Memory that is taken, of what may be taken, or else of what was asked for.
pub(crate) fn memory_bar(pod: &Pod, taken: Option<Taken>) -> Cell {
    let of = most(pod.memory_limit_bytes, pod.memory_bytes);
    bar(
        taken.map(|taken| taken.memory_bytes),
        of,
        memory,
        "Memory taken",
    )
}

fn most(limit: i64, request: i64) -> i64 {
    if limit > 0 { limit } else { request }
}

/// A share of a whole; `N/A` while nobody measures it.
pub(crate) fn bar(
    taken: Option<i64>,
    of: i64,
    words: fn(i64) -> String,
    label: &'static str,
) -> Cell {
    match (taken, of > 0) {
        (Some(used), true) => Cell::Bar {
            used,
            of,
            text: format!("{} of {}", words(used), words(of)),
            label,
        },
        (Some(used), false) => Cell::Text(words(used)),
        (None, true) => Cell::Quiet(format!("N/A of {}", words(of))),
        (None, false) => Cell::Quiet("N/A".to_owned()),
    }
}

fn buttons(item: &Item) -> Vec<Button> {
    let pod = &item.pod;
    let place = [
        ("site", &*item.site),
        ("namespace", &pod.namespace),
        ("pod", &pod.name),
    ];
    let mut buttons = vec![Button {
        to: href("/logs", &place),
        text: "Logs",
        title: format!("Logs of {}", pod.name),
    }];
    if pod.controller.is_some() && !pod.terminating {
        buttons.push(Button {
            to: href("/act/restart-pod", &place),
            text: "Restart",
            title: format!("Restart {}", pod.name),
        });
    }
    buttons
}

fn own_check_words(pod: &Pod) -> String {
    let probed = pod.containers.iter().filter_map(|container| {
        let probe = container.probe.as_ref()?;
        let word = if container.ready { "ok" } else { "failing" };
        Some(format!("{}: {probe}: {word}", container.name))
    });
    probed.collect::<Vec<_>>().join("; ")
}
