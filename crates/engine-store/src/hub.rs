//! Fan-out of committed changes: a bounded history per resource and a bounded queue per
//! watcher. Never waits for a watcher; one that does not read is closed.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use crate::history::History;
use crate::object::{Key, Object, Resource};
use crate::watcher::Watcher;

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    Created,
    Updated,
    Deleted,
}

/// One committed change.
#[derive(Debug)]
pub struct Event {
    pub kind: EventKind,
    /// The new version; for a deletion the last contents under the revision of the deletion.
    pub object: Arc<Object>,
    /// The version before, if there was one.
    pub previous: Option<Arc<Object>>,
    encoded: OnceLock<Bytes>,
}

impl Event {
    pub(crate) fn new(kind: EventKind, object: Arc<Object>, previous: Option<Arc<Object>>) -> Self {
        Self {
            kind,
            object,
            previous,
            encoded: OnceLock::new(),
        }
    }

    pub fn revision(&self) -> u64 {
        self.object.revision
    }

    /// Returns the event as it goes over the wire, encoded once for all watchers.
    pub fn encoded(&self, encode: impl FnOnce(&Self) -> Bytes) -> Bytes {
        self.encoded.get_or_init(|| encode(self)).clone()
    }
}

/// Which objects of a resource a watcher is told about.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    pub namespace: Option<Arc<str>>,
    pub name: Option<Arc<str>>,
}

impl Scope {
    fn covers(&self, key: &Key) -> bool {
        self.namespace
            .as_ref()
            .is_none_or(|wanted| *wanted == key.namespace)
            && self.name.as_ref().is_none_or(|wanted| *wanted == key.name)
    }
}

/// Why a watch could not start.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WatchError {
    #[error("revision {requested} is too old, history starts at {oldest}")]
    TooOld { requested: u64, oldest: u64 },
}

pub(crate) struct Subscription {
    id: u64,
    from: u64,
    scope: Scope,
    queue: mpsc::Sender<Arc<Event>>,
}

impl Subscription {
    fn wants(&self, event: &Event) -> bool {
        event.revision() > self.from && self.scope.covers(&event.object.key)
    }
}

#[derive(Default)]
struct Topic {
    history: VecDeque<Arc<Event>>,
    history_bytes: usize,
    /// Every event after this revision is in `history`.
    floor: Option<u64>,
    subscriptions: Vec<Subscription>,
}

struct State {
    topics: HashMap<Resource, Topic>,
    next_id: u64,
}

/// Bounds of what the hub keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HubLimits {
    pub(crate) history_events: usize,
    pub(crate) history_bytes: usize,
    pub(crate) watcher_queue: usize,
}

pub(crate) struct Hub {
    state: Mutex<State>,
    limits: HubLimits,
    /// Events at or before this revision were never in memory.
    start: u64,
    published: watch::Sender<u64>,
}

impl Hub {
    /// `history` is what was remembered before a restart at `revision`.
    pub(crate) fn new(limits: HubLimits, revision: u64, history: History) -> Self {
        let mut topics: HashMap<Resource, Topic> = HashMap::new();
        for (resource, floor) in history.floors {
            topics.entry(resource).or_default().floor = Some(floor);
        }
        for event in history.events {
            let topic = topics.entry(event.object.key.resource.clone()).or_default();
            topic.remember(event, &limits);
        }
        Self {
            state: Mutex::new(State { topics, next_id: 0 }),
            limits,
            start: history.start,
            published: watch::Sender::new(revision),
        }
    }

    /// What is remembered now.
    pub(crate) fn history(&self) -> History {
        let state = self.lock();
        let floors = state.topics.iter();
        let floors = floors.filter_map(|(resource, topic)| Some((resource.clone(), topic.floor?)));
        History {
            start: self.start,
            floors: floors.collect(),
            events: state
                .topics
                .values()
                .flat_map(|topic| topic.history.iter().cloned())
                .collect(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The revision up to which every event is in every watcher's queue.
    pub(crate) fn published(&self) -> u64 {
        *self.published.borrow()
    }

    pub(crate) fn subscribe_revision(&self) -> watch::Receiver<u64> {
        self.published.subscribe()
    }

    pub(crate) fn watch(
        self: &Arc<Self>,
        resource: &Resource,
        scope: Scope,
        from: u64,
    ) -> Result<Watcher, WatchError> {
        let mut state = self.lock();
        state.next_id += 1;
        let id = state.next_id;
        let topic = state.topics.entry(resource.clone()).or_default();
        let oldest = topic.floor.unwrap_or(self.start);
        if from < oldest {
            return Err(WatchError::TooOld {
                requested: from,
                oldest,
            });
        }
        let (queue, receiver) = mpsc::channel(self.limits.watcher_queue);
        let subscription = Subscription {
            id,
            from,
            scope,
            queue,
        };
        let first = topic
            .history
            .partition_point(|event| event.revision() <= from);
        let backlog = topic
            .history
            .range(first..)
            .filter(|event| subscription.wants(event))
            .cloned();
        let backlog: VecDeque<_> = backlog.collect();
        topic.subscriptions.push(subscription);
        Ok(Watcher::new(
            backlog,
            receiver,
            id,
            resource.clone(),
            Arc::clone(self),
        ))
    }

    pub(crate) fn unsubscribe(&self, resource: &Resource, id: u64) {
        if let Some(topic) = self.lock().topics.get_mut(resource) {
            topic
                .subscriptions
                .retain(|subscription| subscription.id != id);
        }
    }

    /// Tells everybody about one batch of events in order of revision.
    pub(crate) fn publish(&self, events: Vec<Arc<Event>>, revision: u64) {
        let mut state = self.lock();
        for event in events {
            let resource = &event.object.key.resource;
            if !state.topics.contains_key(resource) {
                state.topics.insert(resource.clone(), Topic::default());
            }
            let topic = state
                .topics
                .get_mut(resource)
                .expect("inserted above when missing");
            topic.subscriptions.retain(|subscription| {
                !subscription.wants(&event)
                    || subscription.queue.try_send(Arc::clone(&event)).is_ok()
            });
            topic.remember(event, &self.limits);
        }
        drop(state);
        self.published.send_replace(revision);
    }

    /// Ends every watch.
    pub(crate) fn close(&self) {
        for topic in self.lock().topics.values_mut() {
            topic.subscriptions.clear();
        }
    }

    pub(crate) fn watcher_count(&self) -> usize {
        self.lock()
            .topics
            .values()
            .map(|topic| topic.subscriptions.len())
            .sum()
    }
}

impl Topic {
    fn remember(&mut self, event: Arc<Event>, limits: &HubLimits) {
        self.history_bytes += event.object.bytes.len();
        self.history.push_back(event);
        while self.history.len() > limits.history_events
            || self.history_bytes > limits.history_bytes
        {
            let Some(oldest) = self.history.pop_front() else {
                break;
            };
            self.history_bytes -= oldest.object.bytes.len();
            self.floor = Some(oldest.revision());
        }
    }
}
