//! Feeds the decisions about Deployments.

use std::sync::Arc;

use foreshore_controllers::{controller_of, deployment, pod_is_active, selector_matches};
use foreshore_model::clock;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;

use super::cache::{Cache, Delta, ObjectKey, key_of};
use super::execute::Executor;
use super::queue::Queue;
use super::work::workers;
use super::{Informers, Task, after_sync};

/// Deployments worked on at once.
const WORKERS: usize = 5;

pub(super) fn tasks(informers: &mut Informers, executor: &Executor) -> Vec<Task> {
    let queue = Arc::new(Queue::<ObjectKey>::new());
    let deployments = informers.deployments.cache();
    let replica_sets = informers.replica_sets.cache();
    let pods = informers.pods.cache();

    let filled = Arc::clone(&queue);
    informers
        .deployments
        .on_change(move |delta| filled.add(key_of(&delta.latest().metadata)));
    let (filled, known) = (Arc::clone(&queue), Arc::clone(&deployments));
    informers
        .replica_sets
        .on_change(move |delta| set_changed(&filled, &known, delta));
    let (filled, known, sets) = (
        Arc::clone(&queue),
        Arc::clone(&deployments),
        Arc::clone(&replica_sets),
    );
    informers
        .pods
        .on_change(move |delta| pod_changed(&filled, &known, &sets, delta));

    let caches = (
        Arc::clone(&deployments),
        Arc::clone(&replica_sets),
        Arc::clone(&pods),
    );
    let ready = async move {
        tokio::join!(caches.0.synced(), caches.1.synced(), caches.2.synced());
    };
    let decide = move |(namespace, name): &ObjectKey| {
        let Some(object) = deployments.get(namespace, name) else {
            return Vec::new();
        };
        let pods = if is_recreate(&object) {
            pods.in_namespace(namespace)
        } else {
            Vec::new()
        };
        let inputs = deployment::Inputs {
            deployment: &object,
            replica_sets: &replica_sets.in_namespace(namespace),
            pods: &pods,
        };
        deployment::decide(&inputs, clock::now())
    };
    let executor = executor.of("deployment-controller");
    vec![after_sync(
        ready,
        workers(WORKERS, &queue, &executor, decide, |_, _| ()),
    )]
}

/// Wakes the owner, before and after; a set without one wakes who could adopt it.
fn set_changed(
    queue: &Queue<ObjectKey>,
    deployments: &Cache<Deployment>,
    delta: &Delta<ReplicaSet>,
) {
    for set in delta.states() {
        let namespace = set.metadata.namespace.clone().unwrap_or_default();
        match controller_of(&set.metadata) {
            Some(owner) if owner.kind == "Deployment" => queue.add((namespace, owner.name.clone())),
            Some(_) => {}
            None => {
                for candidate in deployments.in_namespace(&namespace) {
                    let selects = candidate.spec.as_ref().is_some_and(|spec| {
                        selector_matches(&spec.selector, set.metadata.labels.as_ref())
                    });
                    if selects {
                        queue.add(key_of(&candidate.metadata));
                    }
                }
            }
        }
    }
}

/// `Recreate` waits for old pods to end.
fn pod_changed(
    queue: &Queue<ObjectKey>,
    deployments: &Cache<Deployment>,
    sets: &Cache<ReplicaSet>,
    delta: &Delta<Pod>,
) {
    let ended = delta.new.as_ref().is_none_or(|pod| !pod_is_active(pod));
    let Some(owner) = controller_of(&delta.latest().metadata).filter(|_| ended) else {
        return;
    };
    let namespace = delta
        .latest()
        .metadata
        .namespace
        .clone()
        .unwrap_or_default();
    let Some(set) = sets.get(&namespace, &owner.name) else {
        return;
    };
    let Some(owner) = controller_of(&set.metadata) else {
        return;
    };
    if deployments
        .get(&namespace, &owner.name)
        .is_some_and(|deployment| is_recreate(&deployment))
    {
        queue.add((namespace, owner.name.clone()));
    }
}

fn is_recreate(deployment: &Deployment) -> bool {
    let strategy = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.strategy.as_ref());
    strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("Recreate")
}
