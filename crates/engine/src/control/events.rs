//! Records what happened as Event objects, without making anybody wait.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use foreshore_controllers::{EventKind, Kind, Part, Target};
use foreshore_model::clock;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::{Task, request};

/// Events waiting to be written. More than the largest burst of one
/// controller; beyond it the newest are dropped, because events inform and
/// must never hold up the work they tell about.
const QUEUE: usize = 8192;
/// Events remembered, to count repetitions instead of writing them again.
const REMEMBERED: usize = 4096;
/// Events about one object in a row before it has to slow down,
const BURST: u32 = 25;
/// and how long it takes until it may send one more.
const REFILL: Duration = Duration::from_mins(5);

#[derive(Debug)]
struct Note {
    component: &'static str,
    regarding: ObjectReference,
    kind: EventKind,
    reason: &'static str,
    message: String,
    at: Timestamp,
}

/// Takes events of one component.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    component: &'static str,
    notes: mpsc::Sender<Note>,
}

impl Recorder {
    /// Returns a recorder and the task that writes what it takes.
    pub(crate) fn new(client: Client) -> (Self, Task) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let task = Box::pin(Writer::new(client).run(receiver));
        (
            Self {
                component: "foreshore",
                notes: sender,
            },
            task,
        )
    }

    /// The same recorder, speaking for a component.
    pub(crate) fn of(&self, component: &'static str) -> Self {
        Self {
            component,
            notes: self.notes.clone(),
        }
    }

    pub(crate) fn record(
        &self,
        regarding: &ObjectReference,
        kind: EventKind,
        reason: &'static str,
        message: String,
    ) {
        let note = Note {
            component: self.component,
            regarding: regarding.clone(),
            kind,
            reason,
            message,
            at: clock::now(),
        };
        if let Err(error) = self.notes.try_send(note) {
            debug!(error = &error as &dyn std::error::Error, "event dropped");
        }
    }
}

/// What makes two events the same one, repeated.
type Sameness = (String, &'static str, String);

struct Writer {
    client: Client,
    kind: Kind,
    written: HashMap<Sameness, (Target, i32)>,
    order: VecDeque<Sameness>,
    budgets: BTreeMap<String, Budget>,
    serial: u32,
}

#[derive(Clone, Copy)]
struct Budget {
    left: u32,
    since: Instant,
}

impl Writer {
    fn new(client: Client) -> Self {
        Self {
            client,
            kind: Kind::of::<Event>(),
            written: HashMap::new(),
            order: VecDeque::new(),
            budgets: BTreeMap::new(),
            serial: 0,
        }
    }

    async fn run(mut self, mut notes: mpsc::Receiver<Note>) {
        while let Some(note) = notes.recv().await {
            if self.may_speak(&note) {
                self.write(note).await;
            }
        }
    }

    /// One object in trouble must not fill the store with events.
    fn may_speak(&mut self, note: &Note) -> bool {
        let now = Instant::now();
        if self.budgets.len() > REMEMBERED {
            self.budgets
                .retain(|_, budget| budget.left < BURST && budget.since.elapsed() < REFILL * BURST);
        }
        let key = format!(
            "{} {}",
            note.component,
            note.regarding.uid.as_deref().unwrap_or_default()
        );
        let budget = self.budgets.entry(key).or_insert(Budget {
            left: BURST,
            since: now,
        });
        while budget.left < BURST && budget.since.elapsed() >= REFILL {
            budget.left += 1;
            budget.since += REFILL;
        }
        if budget.left == BURST {
            budget.since = now;
        }
        let may = budget.left > 0;
        budget.left = budget.left.saturating_sub(1);
        may
    }

    async fn write(&mut self, note: Note) {
        let uid = note.regarding.uid.clone().unwrap_or_default();
        let sameness = (uid, note.reason, note.message.clone());
        if let Some((target, count)) = self.written.get_mut(&sameness) {
            let body = json!({"count": *count + 1, "lastTimestamp": Time(note.at)});
            match request::merge_patch(&self.client, target, Part::Main, &body).await {
                Ok(_) => {
                    *count += 1;
                    return;
                }
                // Events expire; then it is written as a new one.
                Err(error) => debug!(error = &error as &dyn std::error::Error, "event is gone"),
            }
        }
        self.serial = self.serial.wrapping_add(1);
        let (target, body) = self.event(&note);
        match request::create(
            &self.client,
            &target.kind,
            target.namespace.as_deref(),
            &body,
        )
        .await
        {
            Ok(_) => self.remember(sameness, target),
            Err(error) if error.is_namespace_terminating() => {}
            Err(error) => warn!(
                error = &error as &dyn std::error::Error,
                "event was not recorded"
            ),
        }
    }

    fn event(&self, note: &Note) -> (Target, Value) {
        let object = note.regarding.name.as_deref().unwrap_or_default();
        // Events about cluster-wide objects live in `default`, as everywhere.
        let namespace = note
            .regarding
            .namespace
            .clone()
            .unwrap_or_else(|| "default".to_owned());
        let name = format!(
            "{object}.{:x}{:04x}",
            note.at.as_microsecond(),
            self.serial & 0xffff
        );
        let body = json!({
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": note.regarding,
            "reason": note.reason,
            "message": note.message,
            "type": match note.kind {
                EventKind::Normal => "Normal",
                EventKind::Warning => "Warning",
            },
            "source": {"component": note.component},
            "reportingComponent": note.component,
            "reportingInstance": "",
            "firstTimestamp": Time(note.at),
            "lastTimestamp": Time(note.at),
            "count": 1,
        });
        (
            Target {
                kind: self.kind.clone(),
                namespace: Some(namespace),
                name,
            },
            body,
        )
    }

    fn remember(&mut self, sameness: Sameness, target: Target) {
        if self.written.insert(sameness.clone(), (target, 1)).is_none() {
            self.order.push_back(sameness);
        }
        while self.order.len() > REMEMBERED {
            if let Some(oldest) = self.order.pop_front() {
                self.written.remove(&oldest);
            }
        }
    }
}
