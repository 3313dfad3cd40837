//! Feeds the decisions about `ReplicaSets`, and keeps them from acting twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use foreshore_controllers::{Change, controller_of, replica_set, selector_matches};
use foreshore_model::clock;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;

use super::cache::{Cache, Delta, ObjectKey, key_of};
use super::execute::{CarryOutError, Executor, Outcome};
use super::expectations::Expectations;
use super::queue::Queue;
use super::work::workers;
use super::{Informers, Task, after_sync};

/// Sets worked on at once.
const WORKERS: usize = 5;

/// What outlives a single decision.
#[derive(Default)]
struct Memory {
    expectations: Expectations,
    /// Why the last creation or deletion was refused, by uid of the set.
    failures: Mutex<HashMap<String, String>>,
}

pub(super) fn tasks(informers: &mut Informers, executor: &Executor) -> Vec<Task> {
    let queue = Arc::new(Queue::<ObjectKey>::new());
    let memory = Arc::new(Memory::default());
    let sets = informers.replica_sets.cache();
    let pods = informers.pods.cache();

    let (filled, remembered) = (Arc::clone(&queue), Arc::clone(&memory));
    informers.replica_sets.on_change(move |delta| {
        if delta.new.is_none() {
            remembered.forget(delta.latest());
        }
        filled.add(key_of(&delta.latest().metadata));
    });
    let (filled, remembered, known) = (Arc::clone(&queue), Arc::clone(&memory), Arc::clone(&sets));
    informers
        .pods
        .on_change(move |delta| pod_changed(&filled, &remembered, &known, delta));

    let caches = (Arc::clone(&sets), Arc::clone(&pods));
    let ready = async move {
        tokio::join!(caches.0.synced(), caches.1.synced());
    };
    let (deciding, known) = (Arc::clone(&memory), Arc::clone(&sets));
    let decide = move |key: &ObjectKey| deciding.decide(&known, &pods, key);
    let after = move |(namespace, name): &ObjectKey, outcome: &Outcome| {
        if let Some(set) = sets.get(namespace, name) {
            memory.learn(&set, outcome);
        }
    };
    let executor = executor.of("replicaset-controller");
    vec![after_sync(
        ready,
        workers(WORKERS, &queue, &executor, decide, after),
    )]
}

impl Memory {
    fn decide(
        &self,
        sets: &Cache<ReplicaSet>,
        pods: &Cache<Pod>,
        (namespace, name): &ObjectKey,
    ) -> Vec<Change> {
        let Some(set) = sets.get(namespace, name) else {
            return Vec::new();
        };
        let uid = set.metadata.uid.clone().unwrap_or_default();
        let failure = self
            .failures
            .lock()
            .expect("no code panics while it holds failures")
            .get(&uid)
            .cloned();
        let inputs = replica_set::Inputs {
            replica_set: &set,
            pods: &relevant_pods(sets, pods, &set),
            settled: self.expectations.are_met(&uid, Instant::now()),
            failure: failure.as_deref(),
        };
        let changes = replica_set::decide(&inputs, clock::now());
        let creations = changes
            .iter()
            .filter(|change| matches!(change, Change::Create { .. }))
            .count();
        let deletions: Vec<String> = changes
            .iter()
            .filter_map(|change| match change {
                Change::Delete { uid, .. } => Some(uid.clone()),
                _ => None,
            })
            .collect();
        if creations > 0 || !deletions.is_empty() {
            self.expectations.expect(&uid, creations, deletions);
        }
        changes
    }

    /// What did not happen must not be waited for.
    fn learn(&self, set: &ReplicaSet, outcome: &Outcome) {
        let uid = set.metadata.uid.as_deref().unwrap_or_default();
        for _ in 0..outcome.not_created {
            self.expectations.created(uid);
        }
        for pod in &outcome.not_deleted {
            self.expectations.deleted(uid, pod);
        }
        let mut failures = self
            .failures
            .lock()
            .expect("no code panics while it holds failures");
        match &outcome.refusal {
            Some(CarryOutError::Request(error))
                if outcome.not_created + outcome.not_deleted.len() > 0 =>
            {
                if error.code() != Some(409) {
                    failures.insert(uid.to_owned(), error.message());
                }
            }
            Some(_) => {}
            None => {
                failures.remove(uid);
            }
        }
    }

    fn forget(&self, set: &ReplicaSet) {
        let uid = set.metadata.uid.as_deref().unwrap_or_default();
        self.expectations.forget(uid);
        self.failures
            .lock()
            .expect("no code panics while it holds failures")
            .remove(uid);
    }
}

/// Its own pods, those it could adopt, and its siblings', whose nodes count
/// when pods are to be deleted.
fn relevant_pods(sets: &Cache<ReplicaSet>, pods: &Cache<Pod>, set: &ReplicaSet) -> Vec<Arc<Pod>> {
    let own = set.metadata.uid.as_deref().unwrap_or_default();
    let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
    let mut relevant = pods.owned_by(own);
    relevant.extend(pods.orphans_in(namespace));
    if let Some(deployment) = controller_of(&set.metadata) {
        for sibling in sets.owned_by(&deployment.uid) {
            let uid = sibling.metadata.uid.as_deref().unwrap_or_default();
            if uid != own {
                relevant.extend(pods.owned_by(uid));
            }
        }
    }
    relevant
}

fn pod_changed(
    queue: &Queue<ObjectKey>,
    memory: &Memory,
    sets: &Cache<ReplicaSet>,
    delta: &Delta<Pod>,
) {
    let pod = delta.latest();
    let namespace = pod.metadata.namespace.clone().unwrap_or_default();
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    let owner = controller_of(&pod.metadata).filter(|owner| owner.kind == "ReplicaSet");
    if let Some(owner) = owner {
        if delta.old.is_none() {
            memory.expectations.created(&owner.uid);
        }
        if delta
            .new
            .as_ref()
            .is_none_or(|pod| pod.metadata.deletion_timestamp.is_some())
        {
            memory.expectations.deleted(&owner.uid, uid);
        }
    }
    for state in delta.states() {
        match controller_of(&state.metadata) {
            Some(owner) if owner.kind == "ReplicaSet" => {
                queue.add((namespace.clone(), owner.name.clone()));
            }
            Some(_) => {}
            None => {
                for set in sets.in_namespace(&namespace) {
                    let selects = set.spec.as_ref().is_some_and(|spec| {
                        selector_matches(&spec.selector, state.metadata.labels.as_ref())
                    });
                    if selects {
                        queue.add(key_of(&set.metadata));
                    }
                }
            }
        }
    }
}
