//! Feeds the decisions about `PodDisruptionBudgets`.

use std::sync::Arc;

use foreshore_controllers::{Change, disruption, selector_matches};
use foreshore_model::clock;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use super::cache::{Cache, Delta, ObjectKey, key_of};
use super::execute::Executor;
use super::queue::Queue;
use super::work::workers;
use super::{Informers, Task, after_sync};

struct World {
    queue: Arc<Queue<ObjectKey>>,
    budgets: Arc<Cache<PodDisruptionBudget>>,
    pods: Arc<Cache<Pod>>,
    deployments: Arc<Cache<Deployment>>,
    replica_sets: Arc<Cache<ReplicaSet>>,
    stateful_sets: Arc<Cache<StatefulSet>>,
}

pub(super) fn tasks(informers: &mut Informers, executor: &Executor) -> Vec<Task> {
    let world = Arc::new(World {
        queue: Arc::new(Queue::new()),
        budgets: informers.budgets.cache(),
        pods: informers.pods.cache(),
        deployments: informers.deployments.cache(),
        replica_sets: informers.replica_sets.cache(),
        stateful_sets: informers.stateful_sets.cache(),
    });
    hear(informers, &world);
    let ready = Arc::clone(&world);
    let synced = async move {
        tokio::join!(
            ready.budgets.synced(),
            ready.pods.synced(),
            ready.deployments.synced(),
            ready.replica_sets.synced(),
            ready.stateful_sets.synced(),
        );
    };
    let executor = executor.of("controllermanager");
    let stale = stale_announcements(informers, &executor);
    let queue = Arc::clone(&world.queue);
    let decide = move |key: &ObjectKey| world.decide(key);
    vec![
        after_sync(synced, workers(2, &queue, &executor, decide, |_, _| ())),
        stale,
    ]
}

/// Pods change the health, sizes of their owners the number expected.
fn hear(informers: &mut Informers, world: &Arc<World>) {
    let queue = Arc::clone(&world.queue);
    informers
        .budgets
        .on_change(move |delta| queue.add(key_of(&delta.latest().metadata)));
    let hearing = Arc::clone(world);
    informers
        .pods
        .on_change(move |delta| hearing.pod_changed(delta));
    let hearing = Arc::clone(world);
    informers.deployments.on_change(move |delta| {
        let size = |one: &Arc<Deployment>| one.spec.as_ref().and_then(|spec| spec.replicas);
        if delta.old.as_ref().map(size) != delta.new.as_ref().map(size) {
            hearing.wake_namespace(delta.latest().metadata.namespace.as_deref());
        }
    });
    let hearing = Arc::clone(world);
    informers.replica_sets.on_change(move |delta| {
        let size = |one: &Arc<ReplicaSet>| one.spec.as_ref().and_then(|spec| spec.replicas);
        if delta.old.as_ref().map(size) != delta.new.as_ref().map(size) {
            hearing.wake_namespace(delta.latest().metadata.namespace.as_deref());
        }
    });
    let hearing = Arc::clone(world);
    informers.stateful_sets.on_change(move |delta| {
        let size = |one: &Arc<StatefulSet>| one.spec.as_ref().and_then(|spec| spec.replicas);
        if delta.old.as_ref().map(size) != delta.new.as_ref().map(size) {
            hearing.wake_namespace(delta.latest().metadata.namespace.as_deref());
        }
    });
}

/// Takes back announcements of disruptions that never came.
fn stale_announcements(informers: &mut Informers, executor: &Executor) -> Task {
    let queue = Arc::new(Queue::<ObjectKey>::new());
    let pods = informers.pods.cache();
    let filled = Arc::clone(&queue);
    informers.pods.on_change(move |delta| {
        let is_announced = |pod: &Arc<Pod>| {
            pod.status
                .iter()
                .flat_map(|status| status.conditions.iter().flatten())
                .any(|one| one.type_ == "DisruptionTarget" && one.status == "True")
        };
        if let Some(pod) = delta.new.as_ref().filter(|pod| is_announced(pod)) {
            filled.add(key_of(&pod.metadata));
        }
    });
    let known = Arc::clone(&pods);
    let decide = move |(namespace, name): &ObjectKey| {
        pods.get(namespace, name)
            .map(|pod| disruption::decide_stale(&pod, clock::now()))
            .unwrap_or_default()
    };
    after_sync(
        async move { known.synced().await },
        workers(1, &queue, executor, decide, |_, _| ()),
    )
}

impl World {
    fn pod_changed(&self, delta: &Delta<Pod>) {
        let namespace = delta.latest().metadata.namespace.as_deref();
        for budget in self.budgets.in_namespace(namespace.unwrap_or_default()) {
            let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
            let selects = delta.states().any(|pod| {
                selector.is_some_and(|selector| {
                    selector_matches(selector, pod.metadata.labels.as_ref())
                })
            });
            if selects {
                self.queue.add(key_of(&budget.metadata));
            }
        }
    }

    fn wake_namespace(&self, namespace: Option<&str>) {
        for budget in self.budgets.in_namespace(namespace.unwrap_or_default()) {
            self.queue.add(key_of(&budget.metadata));
        }
    }

    fn decide(&self, (namespace, name): &ObjectKey) -> Vec<Change> {
        let Some(budget) = self.budgets.get(namespace, name) else {
            return Vec::new();
        };
        let inputs = disruption::Inputs {
            budget: &budget,
            pods: &self.pods.in_namespace(namespace),
            replica_sets: &self.replica_sets.in_namespace(namespace),
            deployments: &self.deployments.in_namespace(namespace),
            stateful_sets: &self.stateful_sets.in_namespace(namespace),
        };
        disruption::decide(&inputs, clock::now())
    }
}
