//! Binds pods to nodes as the scheduler decides, and says why where it cannot.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use foreshore_controllers::{EventKind, Part, Target};
use foreshore_model::clock;
use foreshore_scheduler::{Cluster, Unschedulable};
use http::Method;
use k8s_openapi::api::core::v1::{Node, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource;
use serde_json::json;
use tracing::{debug, warn};

use super::cache::{Cache, Delta, ObjectKey, key_of};
use super::execute::Executor;
use super::queue::Queue;
use super::{Informers, Task, after_sync, request};

/// Bindings under way at once: decisions are made one by one, writes are not.
const WORKERS: usize = 16;
/// The scheduler a pod names when it names none.
const SCHEDULER: &str = "default-scheduler";

/// The scheduler's view, ahead of its caches by what it decided itself.
#[derive(Default)]
struct View {
    cluster: Cluster,
    /// Pods bound by us whose binding the cache does not show yet, by uid.
    assumed: HashMap<String, String>,
    /// Pods that fit nowhere, until something changes.
    waiting: BTreeSet<ObjectKey>,
}

struct Scheduler {
    view: Mutex<View>,
    queue: Arc<Queue<ObjectKey>>,
    pods: Arc<Cache<Pod>>,
    executor: Executor,
}

pub(super) fn tasks(informers: &mut Informers, executor: &Executor) -> Vec<Task> {
    let scheduler = Arc::new(Scheduler {
        view: Mutex::new(View::default()),
        queue: Arc::new(Queue::new()),
        pods: informers.pods.cache(),
        executor: executor.clone(),
    });
    let hearing = Arc::clone(&scheduler);
    informers
        .nodes
        .on_change(move |delta| hearing.node_changed(delta));
    let hearing = Arc::clone(&scheduler);
    informers
        .pods
        .on_change(move |delta| hearing.pod_changed(delta));

    let caches = (informers.nodes.cache(), informers.pods.cache());
    let ready = async move {
        tokio::join!(caches.0.synced(), caches.1.synced());
    };
    let workers = (0..WORKERS)
        .map(|_| -> Task {
            let scheduler = Arc::clone(&scheduler);
            Box::pin(async move {
                loop {
                    let key = scheduler.queue.take().await;
                    scheduler.schedule(&key).await;
                    scheduler.queue.done(&key);
                }
            })
        })
        .collect();
    vec![after_sync(ready, workers)]
}

impl Scheduler {
    fn view(&self) -> MutexGuard<'_, View> {
        self.view
            .lock()
            .expect("no code panics while it holds the view")
    }

    fn node_changed(&self, delta: &Delta<Node>) {
        let mut view = self.view();
        match &delta.new {
            Some(node) => view.cluster.set_node(Arc::clone(node)),
            None => view
                .cluster
                .remove_node(delta.latest().metadata.name.as_deref().unwrap_or_default()),
        }
        // Heartbeats change no decision.
        if delta.old.as_deref().map(relevant) != delta.new.as_deref().map(relevant) {
            self.retry_all(&mut view);
        }
    }

    fn pod_changed(&self, delta: &Delta<Pod>) {
        let pod = delta.latest();
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let mut view = self.view();
        let Some(pod) = &delta.new else {
            view.waiting.remove(&key_of(&pod.metadata));
            self.queue.forget(&key_of(&pod.metadata));
            view.assumed.remove(&uid);
            view.cluster.remove_pod(&uid);
            return self.retry_all(&mut view);
        };
        if is_bound(pod) {
            view.assumed.remove(&uid);
            view.cluster.set_pod(Arc::clone(pod));
            if is_ended(pod) {
                self.retry_all(&mut view);
            }
        } else if !view.assumed.contains_key(&uid) && changes_the_question(delta) {
            self.queue.add(key_of(&pod.metadata));
        }
    }

    /// Something gave room; all that wait try again.
    fn retry_all(&self, view: &mut View) {
        for key in std::mem::take(&mut view.waiting) {
            self.queue.add(key);
        }
    }

    async fn schedule(&self, key: &ObjectKey) {
        let Some(pod) = self.pods.get(&key.0, &key.1) else {
            return;
        };
        if is_bound(&pod) || !is_ours(&pod) {
            return;
        }
        let decided = {
            let mut view = self.view();
            let uid = pod.metadata.uid.clone().unwrap_or_default();
            if view.assumed.contains_key(&uid) {
                return;
            }
            let decided = view.cluster.pick(&pod);
            match &decided {
                Ok(node) => view.assume(&pod, node),
                Err(_) => {
                    view.waiting.insert(key.clone());
                }
            }
            decided
        };
        match decided {
            Ok(node) => self.bind(key, &pod, &node).await,
            Err(refusal) => self.refuse(key, &pod, &refusal).await,
        }
    }

    async fn bind(&self, key: &ObjectKey, pod: &Pod, node: &str) {
        let binding = json!({
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": key.1, "namespace": key.0, "uid": pod.metadata.uid},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        });
        let target = Target::of(pod);
        let client = &self.executor.client;
        match request::subresource(client, Method::POST, &target, "binding", &binding).await {
            Ok(_) => {
                self.queue.forget(key);
                let message = format!("Successfully assigned {}/{} to {node}", key.0, key.1);
                self.executor.recorder.record(
                    &reference(pod),
                    EventKind::Normal,
                    "Scheduled",
                    message,
                );
            }
            Err(error) => {
                let uid = pod.metadata.uid.as_deref().unwrap_or_default();
                {
                    let mut view = self.view();
                    if view.assumed.remove(uid).is_some() {
                        view.cluster.remove_pod(uid);
                    }
                }
                if matches!(error.code(), Some(404 | 409)) {
                    debug!(
                        ?key,
                        error = &error as &dyn std::error::Error,
                        "pod changed before it was bound"
                    );
                } else {
                    warn!(
                        ?key,
                        error = &error as &dyn std::error::Error,
                        "pod was not bound; will retry"
                    );
                }
                self.queue.add_failed(key.clone());
            }
        }
    }

    async fn refuse(&self, key: &ObjectKey, pod: &Pod, refusal: &Unschedulable) {
        let message = refusal.message.clone();
        if was_told(pod, &message) {
            return;
        }
        let object = reference(pod);
        self.executor.recorder.record(
            &object,
            EventKind::Warning,
            "FailedScheduling",
            message.clone(),
        );
        let body = json!({
            "metadata": {"uid": pod.metadata.uid, "resourceVersion": pod.metadata.resource_version},
            "status": {"conditions": with_refusal(pod, message)},
        });
        let client = &self.executor.client;
        if let Err(error) =
            request::merge_patch(client, &Target::of(pod), Part::Status, &body).await
        {
            debug!(
                ?key,
                error = &error as &dyn std::error::Error,
                "condition was not written; will retry"
            );
            self.queue.add_failed(key.clone());
        }
    }
}

impl View {
    /// Counts the pod as bound before the API has confirmed it, so that the
    /// next decision does not give the same room away again.
    fn assume(&mut self, pod: &Pod, node: &str) {
        let mut assumed = pod.clone();
        assumed.spec.get_or_insert_default().node_name = Some(node.to_owned());
        self.assumed.insert(
            pod.metadata.uid.clone().unwrap_or_default(),
            node.to_owned(),
        );
        self.cluster.set_pod(Arc::new(assumed));
    }
}

/// A pod that waits for its gates, for another scheduler or for its end is not ours.
fn is_ours(pod: &Pod) -> bool {
    let Some(spec) = &pod.spec else { return false };
    let gated = spec
        .scheduling_gates
        .as_ref()
        .is_some_and(|gates| !gates.is_empty());
    let named = spec.scheduler_name.as_deref().unwrap_or(SCHEDULER);
    !gated && named == SCHEDULER && pod.metadata.deletion_timestamp.is_none() && !is_ended(pod)
}

fn is_bound(pod: &Pod) -> bool {
    pod.spec
        .as_ref()
        .and_then(|spec| spec.node_name.as_deref())
        .is_some_and(|node| !node.is_empty())
}

fn is_ended(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Our own condition on the pod must not make us decide again.
fn changes_the_question(delta: &Delta<Pod>) -> bool {
    match (&delta.old, &delta.new) {
        (Some(old), Some(new)) => {
            old.metadata.uid != new.metadata.uid
                || old.spec != new.spec
                || old.metadata.labels != new.metadata.labels
        }
        _ => true,
    }
}

/// All of a node that matters to a decision.
pub(super) fn relevant(node: &Node) -> impl PartialEq + use<> {
    (
        node.metadata.labels.clone(),
        node.spec.clone(),
        node.status
            .as_ref()
            .and_then(|status| status.allocatable.clone()),
    )
}

fn reference(pod: &Pod) -> ObjectReference {
    ObjectReference {
        resource_version: pod.metadata.resource_version.clone(),
        ..pod.object_ref(&())
    }
}

fn was_told(pod: &Pod, message: &str) -> bool {
    pod.status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten())
        .any(|condition| {
            condition.type_ == "PodScheduled" && condition.message.as_deref() == Some(message)
        })
}

fn with_refusal(pod: &Pod, message: String) -> Vec<k8s_openapi::api::core::v1::PodCondition> {
    let known: Vec<_> = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.clone().unwrap_or_default())
        .collect();
    let since = known
        .iter()
        .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False")
        .and_then(|condition| condition.last_transition_time.clone())
        .unwrap_or_else(|| Time(clock::now()));
    let mut conditions: Vec<_> = known
        .into_iter()
        .filter(|condition| condition.type_ != "PodScheduled")
        .collect();
    conditions.push(k8s_openapi::api::core::v1::PodCondition {
        type_: "PodScheduled".to_owned(),
        status: "False".to_owned(),
        reason: Some("Unschedulable".to_owned()),
        message: Some(message),
        last_transition_time: Some(since),
        ..Default::default()
    });
    conditions
}
