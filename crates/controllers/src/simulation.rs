//! A seeded world for tests of every controller: an API with preconditions, a
//! view of it that lags behind, nodes that run pods, and crashes between writes.

mod api;
mod deciders;
mod nodes;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::change::Change;

/// Kind and name.
type Id = (String, String);

/// How the world treats its controllers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    /// The view is always fresh and nobody crashes.
    Calm,
    /// The view lags, kinds arrive in any order, writes are cut short.
    Rough,
}

pub(crate) struct World {
    /// What the API holds.
    objects: BTreeMap<Id, Value>,
    /// What the controllers see.
    view: BTreeMap<Id, Value>,
    /// Changes not yet seen, per kind.
    unseen: BTreeMap<String, VecDeque<(u64, Id, Option<Value>)>>,
    /// Last write of pods by each owner (by uid), still to be seen.
    expected: BTreeMap<String, u64>,
    /// Sentences of events, oldest first.
    pub(crate) told: Vec<String>,
    pub(crate) now: Timestamp,
    weather: Weather,
    random: ChaCha8Rng,
    serial: u64,
}

impl World {
    pub(crate) fn new(weather: Weather, seed: u64) -> Self {
        Self {
            objects: BTreeMap::new(),
            view: BTreeMap::new(),
            unseen: BTreeMap::new(),
            expected: BTreeMap::new(),
            told: Vec::new(),
            now: Timestamp::from_second(1_700_000_000).unwrap(),
            weather,
            random: ChaCha8Rng::seed_from_u64(seed),
            serial: 0,
        }
    }

    /// All objects of a kind, as the API holds them.
    pub(crate) fn all<K: DeserializeOwned>(&self, kind: &str) -> Vec<K> {
        typed(&self.objects, kind)
    }

    pub(crate) fn names(&self, kind: &str) -> Vec<String> {
        let of_kind = self.objects.keys().filter(|(own, _)| own == kind);
        of_kind.map(|(_, name)| name.clone()).collect()
    }

    pub(crate) fn get(&self, kind: &str, name: &str) -> &Value {
        &self.objects[&(kind.to_owned(), name.to_owned())]
    }

    /// All objects of a kind, as the controllers see them.
    fn seen<K: DeserializeOwned>(&self, kind: &str) -> Vec<Arc<K>> {
        typed(&self.view, kind).into_iter().map(Arc::new).collect()
    }

    /// Lets the view catch up: in full, or with some of the changes.
    fn catch_up(&mut self, fully: bool) {
        for queue in self.unseen.values_mut() {
            let count = if fully {
                queue.len()
            } else {
                self.random.random_range(0..=queue.len())
            };
            for (_, id, value) in queue.drain(..count) {
                match value {
                    Some(value) => self.view.insert(id, value),
                    None => self.view.remove(&id),
                };
            }
        }
    }

    /// Whether all pods the owner made and ended are visible.
    fn is_settled(&self, uid: &str) -> bool {
        let oldest = self
            .unseen
            .get("Pod")
            .and_then(|queue| queue.front())
            .map(|(serial, _, _)| *serial);
        match (self.expected.get(uid), oldest) {
            (Some(expected), Some(oldest)) => oldest > *expected,
            _ => true,
        }
    }

    /// A controller starts anew: it lists everything and remembers nothing.
    fn crash(&mut self) {
        self.expected.clear();
        self.catch_up(true);
    }

    /// Runs until nobody writes any more; `check` looks at every state.
    pub(crate) fn settle(&mut self, check: impl Fn(&Self)) {
        let mut quiet = 0;
        for _ in 0..20_000 {
            let is_rough = self.weather == Weather::Rough;
            let wait = SignedDuration::from_millis(self.random.random_range(1..1500));
            self.now += wait;
            self.catch_up(!is_rough);
            let mut wrote = self.run_one();
            check(self);
            if self.random.random_bool(0.5) {
                wrote |= self.run_nodes();
                check(self);
            }
            if is_rough && self.random.random_bool(0.05) {
                self.crash();
            }
            let unseen = self.unseen.values().any(|queue| !queue.is_empty());
            quiet = if wrote || unseen { 0 } else { quiet + 1 };
            if quiet > 50 {
                return;
            }
        }
        panic!("the world does not come to rest: {:#?}", self.told);
    }

    /// Lets time pass, then everything settle.
    pub(crate) fn after(&mut self, wait: SignedDuration) {
        self.now += wait;
        self.settle(|_| ());
    }

    /// Lets one controller decide about one object and carries it out.
    fn run_one(&mut self) -> bool {
        let owners: Vec<Id> = self
            .view
            .keys()
            .filter(|(kind, _)| deciders::KINDS.contains(&kind.as_str()))
            .cloned()
            .collect();
        if owners.is_empty() {
            return false;
        }
        let (kind, name) = owners[self.random.random_range(0..owners.len())].clone();
        let changes = self.decide(&kind, &name);
        let uid = self.view[&(kind, name)]["metadata"]["uid"].clone();
        let limit = if self.weather == Weather::Rough && self.random.random_bool(0.3) {
            self.random.random_range(0..=changes.len())
        } else {
            usize::MAX
        };
        let wrote = self.carry_out(changes, uid.as_str().unwrap(), limit);
        if limit != usize::MAX {
            self.crash();
        }
        wrote
    }

    /// Carries out changes in order, up to the first that is refused, or until
    /// the controller dies.
    fn carry_out(&mut self, changes: Vec<Change>, owner: &str, limit: usize) -> bool {
        let mut wrote = false;
        for change in changes.into_iter().take(limit) {
            let touches_pods = matches!(&change,
                Change::Create { kind, .. } if kind.kind == "Pod")
                || matches!(&change, Change::Delete { target, .. } if target.kind.kind == "Pod");
            match self.apply(change) {
                Ok(did) => wrote |= did,
                Err(()) => return true,
            }
            if touches_pods {
                self.expected.insert(owner.to_owned(), self.serial);
            }
        }
        wrote
    }
}

fn typed<K: DeserializeOwned>(objects: &BTreeMap<Id, Value>, kind: &str) -> Vec<K> {
    objects
        .iter()
        .filter(|((own, _), _)| own == kind)
        .map(|(_, value)| serde_json::from_value(value.clone()).unwrap())
        .collect()
}
