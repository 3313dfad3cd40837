//! Feeds the decisions about `StatefulSets`.

use std::sync::Arc;

use foreshore_controllers::{Change, controller_of, stateful_set};
use foreshore_model::clock;
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::cache::{Cache, ObjectKey};
use super::execute::{Executor, Outcome};
use super::owners::{MakesPods, Owners};
use super::work::workers;
use super::{Informers, Task, after_sync};

/// Sets worked on at once.
const WORKERS: usize = 5;

impl MakesPods for StatefulSet {
    fn selector(&self) -> Option<&LabelSelector> {
        self.spec.as_ref().map(|spec| &spec.selector)
    }
}

pub(super) fn tasks(informers: &mut Informers, executor: &Executor) -> Vec<Task> {
    let owners = Owners::new(&mut informers.stateful_sets, &mut informers.pods);
    let revisions = informers.revisions.cache();
    let claims = informers.claims.cache();
    let queue = Arc::clone(&owners.queue);
    informers.revisions.on_change(move |delta| {
        let meta = &delta.latest().metadata;
        if let Some(owner) = controller_of(meta).filter(|owner| owner.kind == "StatefulSet") {
            let namespace = meta.namespace.clone().unwrap_or_default();
            queue.add((namespace, owner.name.clone()));
        }
    });
    // A claim that goes lets the pod that waits for its name be made.
    let (queue, sets) = (Arc::clone(&owners.queue), Arc::clone(&owners.cache));
    informers.claims.on_change(move |delta| {
        let meta = &delta.latest().metadata;
        let namespace = meta.namespace.clone().unwrap_or_default();
        let name = meta.name.as_deref().unwrap_or_default();
        for set in sets.in_namespace(&namespace) {
            let own = set.metadata.name.clone().unwrap_or_default();
            if name.contains(&format!("-{own}-")) {
                queue.add((namespace.clone(), own));
            }
        }
    });
    let caches = (Arc::clone(&revisions), Arc::clone(&claims));
    let synced = owners.synced();
    let ready = async move {
        tokio::join!(synced, caches.0.synced(), caches.1.synced());
    };
    let (deciding, learning) = (Arc::clone(&owners), Arc::clone(&owners));
    let decide = move |key: &ObjectKey| decide(&deciding, &revisions, &claims, key);
    let after = move |key: &ObjectKey, outcome: &Outcome| learning.learn(key, outcome);
    let executor = executor.of("statefulset-controller");
    vec![after_sync(
        ready,
        workers(WORKERS, &owners.queue, &executor, decide, after),
    )]
}

fn decide(
    owners: &Owners<StatefulSet>,
    revisions: &Cache<ControllerRevision>,
    claims: &Cache<PersistentVolumeClaim>,
    (namespace, name): &ObjectKey,
) -> Vec<Change> {
    let Some(set) = owners.cache.get(namespace, name) else {
        return Vec::new();
    };
    let inputs = stateful_set::Inputs {
        set: &set,
        pods: &owners.pods_of(&set),
        revisions: &revisions.in_namespace(namespace),
        claims: &claims.in_namespace(namespace),
        settled: owners.is_settled(&set),
    };
    let changes = stateful_set::decide(&inputs, clock::now());
    owners.expect(&set, &changes);
    changes
}
