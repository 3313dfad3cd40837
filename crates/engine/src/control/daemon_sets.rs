//! Feeds the decisions about `DaemonSets`.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use foreshore_controllers::{Change, controller_of, daemon_set};
use foreshore_model::clock;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet};
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::cache::{Cache, Delta, ObjectKey, key_of};
use super::execute::{Executor, Outcome};
use super::owners::{MakesPods, Owners};
use super::scheduling::relevant;
use super::work::workers;
use super::{Informers, Task, after_sync};

/// Sets worked on at once.
const WORKERS: usize = 2;
/// Wait before a failed pod is replaced on the same node again; it doubles.
const HOLD_FIRST: Duration = Duration::from_secs(1);
const HOLD_MAX: Duration = Duration::from_mins(15);

impl MakesPods for DaemonSet {
    fn selector(&self) -> Option<&LabelSelector> {
        self.spec.as_ref().map(|spec| &spec.selector)
    }
}

/// How often pods failed on a node, and until when the last one stays.
#[derive(Clone, Copy)]
struct Hold {
    failures: u32,
    until: Timestamp,
}

/// Per set (by uid) and node.
type Holds = HashMap<String, BTreeMap<String, Hold>>;

struct Daemons {
    owners: Arc<Owners<DaemonSet>>,
    nodes: Arc<Cache<Node>>,
    revisions: Arc<Cache<ControllerRevision>>,
    holds: Mutex<Holds>,
}

pub(super) fn tasks(informers: &mut Informers, executor: &Executor) -> Vec<Task> {
    let owners = Owners::new(&mut informers.daemon_sets, &mut informers.pods);
    let daemons = Arc::new(Daemons {
        owners: Arc::clone(&owners),
        nodes: informers.nodes.cache(),
        revisions: informers.revisions.cache(),
        holds: Mutex::default(),
    });
    let hearing = Arc::clone(&owners);
    informers
        .nodes
        .on_change(move |delta| node_changed(&hearing, delta));
    let queue = Arc::clone(&owners.queue);
    informers.revisions.on_change(move |delta| {
        let meta = &delta.latest().metadata;
        if let Some(owner) = controller_of(meta).filter(|owner| owner.kind == "DaemonSet") {
            let namespace = meta.namespace.clone().unwrap_or_default();
            queue.add((namespace, owner.name.clone()));
        }
    });
    let forgetting = Arc::clone(&daemons);
    informers.daemon_sets.on_change(move |delta| {
        if let (None, Some(uid)) = (&delta.new, &delta.latest().metadata.uid) {
            forgetting.holds().remove(uid);
        }
    });
    let caches = (Arc::clone(&daemons.nodes), Arc::clone(&daemons.revisions));
    let synced = owners.synced();
    let ready = async move {
        tokio::join!(synced, caches.0.synced(), caches.1.synced());
    };
    let decide = move |key: &ObjectKey| daemons.decide(key);
    let learning = Arc::clone(&owners);
    let after = move |key: &ObjectKey, outcome: &Outcome| learning.learn(key, outcome);
    let executor = executor.of("daemonset-controller");
    vec![after_sync(
        ready,
        workers(WORKERS, &owners.queue, &executor, decide, after),
    )]
}

/// Heartbeats change no decision.
fn node_changed(owners: &Owners<DaemonSet>, delta: &Delta<Node>) {
    if delta.old.as_deref().map(relevant) == delta.new.as_deref().map(relevant) {
        return;
    }
    for set in owners.cache.all() {
        owners.queue.add(key_of(&set.metadata));
    }
}

impl Daemons {
    fn decide(&self, (namespace, name): &ObjectKey) -> Vec<Change> {
        let Some(set) = self.owners.cache.get(namespace, name) else {
            return Vec::new();
        };
        let now = clock::now();
        let uid = set.metadata.uid.clone().unwrap_or_default();
        let pods = self.owners.pods_of(&set);
        let held_back: BTreeMap<String, Timestamp> = self
            .holds()
            .get(&uid)
            .into_iter()
            .flatten()
            .map(|(node, hold)| (node.clone(), hold.until))
            .collect();
        let inputs = daemon_set::Inputs {
            set: &set,
            nodes: &self.nodes.all(),
            pods: &pods,
            revisions: &self.revisions.in_namespace(namespace),
            settled: self.owners.is_settled(&set),
            held_back: &held_back,
        };
        let changes = daemon_set::decide(&inputs, now);
        self.owners.expect(&set, &changes);
        self.hold(&uid, &pods, &changes, now);
        changes
    }

    /// Remembers on which nodes failed pods are replaced.
    fn hold(&self, uid: &str, pods: &[Arc<Pod>], changes: &[Change], now: Timestamp) {
        let failed_on = |uid: &str| {
            let pod = pods
                .iter()
                .find(|pod| pod.metadata.uid.as_deref() == Some(uid))?;
            let has_failed = pod.status.as_ref()?.phase.as_deref() == Some("Failed");
            pod.spec.as_ref()?.node_name.clone().filter(|_| has_failed)
        };
        let nodes = changes.iter().filter_map(|change| match change {
            Change::Delete { uid, .. } => failed_on(uid),
            _ => None,
        });
        let mut holds = self.holds();
        for node in nodes {
            let known = holds.entry(uid.to_owned()).or_default();
            let failures = known.get(&node).map_or(0, |hold| {
                let is_old = hold.until + HOLD_MAX < now;
                if is_old { 0 } else { hold.failures }
            });
            let wait = HOLD_FIRST
                .saturating_mul(1 << failures.min(16))
                .min(HOLD_MAX);
            let hold = Hold {
                failures: failures + 1,
                until: now + wait,
            };
            known.insert(node, hold);
        }
    }

    fn holds(&self) -> MutexGuard<'_, Holds> {
        self.holds
            .lock()
            .expect("no code panics while it holds the times")
    }
}
