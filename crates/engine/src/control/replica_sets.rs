//! Feeds the decisions about `ReplicaSets`.

use std::sync::Arc;

use foreshore_controllers::{Change, controller_of, replica_set};
use foreshore_model::clock;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::cache::{Cache, ObjectKey};
use super::execute::{Executor, Outcome};
use super::owners::{MakesPods, Owners};
use super::work::workers;
use super::{Informers, Task, after_sync};

/// Sets worked on at once.
const WORKERS: usize = 5;

impl MakesPods for ReplicaSet {
    fn selector(&self) -> Option<&LabelSelector> {
        self.spec.as_ref().map(|spec| &spec.selector)
    }
}

pub(super) fn tasks(informers: &mut Informers, executor: &Executor) -> Vec<Task> {
    let owners = Owners::new(&mut informers.replica_sets, &mut informers.pods);
    let pods = informers.pods.cache();
    let (deciding, learning) = (Arc::clone(&owners), Arc::clone(&owners));
    let decide = move |key: &ObjectKey| decide(&deciding, &pods, key);
    let after = move |key: &ObjectKey, outcome: &Outcome| learning.learn(key, outcome);
    let executor = executor.of("replicaset-controller");
    vec![after_sync(
        owners.synced(),
        workers(WORKERS, &owners.queue, &executor, decide, after),
    )]
}

fn decide(
    owners: &Owners<ReplicaSet>,
    pods: &Cache<Pod>,
    (namespace, name): &ObjectKey,
) -> Vec<Change> {
    let Some(set) = owners.cache.get(namespace, name) else {
        return Vec::new();
    };
    let failure = owners.failure(&set);
    let mut relevant = owners.pods_of(&set);
    relevant.extend(pods_of_siblings(&owners.cache, pods, &set));
    let inputs = replica_set::Inputs {
        replica_set: &set,
        pods: &relevant,
        settled: owners.is_settled(&set),
        failure: failure.as_deref(),
    };
    let changes = replica_set::decide(&inputs, clock::now());
    owners.expect(&set, &changes);
    changes
}

/// The pods of the sets of the same Deployment, whose nodes count when pods
/// are to be deleted.
fn pods_of_siblings(
    sets: &Cache<ReplicaSet>,
    pods: &Cache<Pod>,
    set: &ReplicaSet,
) -> Vec<Arc<Pod>> {
    let Some(deployment) = controller_of(&set.metadata) else {
        return Vec::new();
    };
    sets.owned_by(&deployment.uid)
        .iter()
        .filter(|sibling| sibling.metadata.uid != set.metadata.uid)
        .flat_map(|sibling| pods.owned_by(sibling.metadata.uid.as_deref().unwrap_or_default()))
        .collect()
}
