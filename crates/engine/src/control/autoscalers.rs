//! Feeds the decisions about `HorizontalPodAutoscalers`: reads scales and usage
//! from the API, four times a minute.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use foreshore_controllers::autoscaler::{self, Memory, PodUsage, Scale, Usage};
use foreshore_controllers::{Change, Target, quantity_milli};
use foreshore_model::clock;
use jiff::SignedDuration;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;
use tracing::debug;

use super::cache::{Cache, ObjectKey, key_of};
use super::execute::Executor;
use super::queue::Queue;
use super::work::settle;
use super::{Informers, Task, after_sync, request};

/// Autoscalers worked on at once.
const WORKERS: usize = 2;

struct Autoscalers {
    queue: Arc<Queue<ObjectKey>>,
    cache: Arc<Cache<HorizontalPodAutoscaler>>,
    executor: Executor,
    /// What earlier decisions left behind, by uid.
    memories: Mutex<HashMap<String, Memory>>,
}

pub(super) fn tasks(informers: &mut Informers, executor: &Executor) -> Vec<Task> {
    let world = Arc::new(Autoscalers {
        queue: Arc::new(Queue::new()),
        cache: informers.autoscalers.cache(),
        executor: executor.of("horizontal-pod-autoscaler"),
        memories: Mutex::default(),
    });
    let hearing = Arc::clone(&world);
    informers.autoscalers.on_change(move |delta| {
        let object = delta.latest();
        if delta.new.is_none() {
            let uid = object.metadata.uid.as_deref().unwrap_or_default();
            hearing.memories().remove(uid);
        }
        // Its own status must not make it decide again at once.
        let is_new_spec = match (&delta.old, &delta.new) {
            (Some(old), Some(new)) => old.spec != new.spec,
            _ => true,
        };
        if is_new_spec {
            hearing.queue.add(key_of(&object.metadata));
        }
    });
    let known = Arc::clone(&world);
    let ready = async move { known.cache.synced().await };
    let workers = (0..WORKERS)
        .map(|_| -> Task {
            let world = Arc::clone(&world);
            Box::pin(async move {
                loop {
                    let key = world.queue.take().await;
                    let changes = world.decide(&key).await;
                    let outcome = world.executor.carry_out(changes).await;
                    settle(&world.queue, &key, &outcome);
                    world.queue.done(&key);
                }
            })
        })
        .collect();
    vec![after_sync(ready, workers)]
}

/// The scale of a target and the pods it selects.
struct Found {
    scale: Scale,
    selector: String,
    pods: Vec<Arc<Pod>>,
}

impl Autoscalers {
    fn memories(&self) -> std::sync::MutexGuard<'_, HashMap<String, Memory>> {
        self.memories
            .lock()
            .expect("no code panics while it holds memories")
    }

    async fn decide(&self, (namespace, name): &ObjectKey) -> Vec<Change> {
        let Some(object) = self.cache.get(namespace, name) else {
            return Vec::new();
        };
        if object.metadata.deletion_timestamp.is_some() {
            return Vec::new();
        }
        let found = self.find(namespace, &object).await;
        let usage = match &found {
            Ok(found) => self.usage(namespace, &found.selector).await,
            Err(_) => Ok(Usage::new()),
        };
        let uid = object.metadata.uid.clone().unwrap_or_default();
        let memory = self.memories().get(&uid).cloned().unwrap_or_default();
        let inputs = autoscaler::Inputs {
            autoscaler: &object,
            scale: found
                .as_ref()
                .map(|found| &found.scale)
                .map_err(String::as_str),
            pods: found.as_ref().map_or(&[][..], |found| &found.pods),
            usage: usage.as_ref().map_err(String::as_str),
            memory: &memory,
        };
        let decision = autoscaler::decide(&inputs, clock::now());
        self.memories().insert(uid, decision.memory);
        decision.changes
    }

    /// Reads the scale subresource of the target.
    async fn find(
        &self,
        namespace: &str,
        object: &HorizontalPodAutoscaler,
    ) -> Result<Found, String> {
        let wanted = &object.spec.scale_target_ref;
        let group = wanted.api_version.as_deref().unwrap_or("v1");
        let served = self.executor.kinds.all();
        let kind = served
            .into_iter()
            .map(|served| served.kind)
            .find(|kind| kind.kind == wanted.kind && kind.api_version == group)
            .ok_or_else(|| format!("no matches for kind {:?} in group {group:?}", wanted.kind))?;
        let target = Target {
            kind,
            namespace: Some(namespace.to_owned()),
            name: wanted.name.clone(),
        };
        let client = &self.executor.client;
        let read = request::read_part(client, &target, "scale").await;
        let read = read.map_err(|error| error.message())?;
        let number = |value: &Value| i32::try_from(value.as_i64().unwrap_or(0)).unwrap_or(0);
        let selector = read["status"]["selector"].as_str().unwrap_or_default();
        if selector.is_empty() {
            return Err("selector is required".to_owned());
        }
        let pods = request::pods(client, namespace, selector).await;
        let pods = pods.map_err(|error| error.message())?;
        Ok(Found {
            scale: Scale {
                target,
                wanted: number(&read["spec"]["replicas"]),
                current: number(&read["status"]["replicas"]),
            },
            selector: selector.to_owned(),
            pods,
        })
    }

    /// Reads what the pods use from the metrics API.
    async fn usage(&self, namespace: &str, selector: &str) -> Result<Usage, String> {
        let client = &self.executor.client;
        let list = request::pod_metrics(client, namespace, selector).await;
        let list = list.map_err(|error| error.message())?;
        let items = list["items"].as_array().cloned().unwrap_or_default();
        if items.is_empty() {
            return Err("no metrics returned from resource metrics API".to_owned());
        }
        Ok(items.iter().filter_map(sample).collect())
    }
}

/// Reads one item of the metrics API; one that is damaged is left out, and its
/// pod then counts as not measured.
fn sample(item: &Value) -> Option<(String, PodUsage)> {
    let name = item["metadata"]["name"].as_str()?;
    let containers = item["containers"].as_array()?;
    let containers = containers.iter().filter_map(|container| {
        let usage = container["usage"].as_object()?;
        let amounts = usage.iter().filter_map(|(resource, amount)| {
            Some((resource.clone(), quantity_milli(amount.as_str()?)?))
        });
        Some((container["name"].as_str()?.to_owned(), amounts.collect()))
    });
    let usage = PodUsage {
        at: item["timestamp"].as_str()?.parse().ok()?,
        window: window(item["window"].as_str().unwrap_or_default()),
        containers: containers.collect(),
    };
    Some((name.to_owned(), usage))
}

fn window(text: &str) -> SignedDuration {
    text.parse().unwrap_or_else(|error| {
        debug!(
            error = &error as &dyn std::error::Error,
            text, "window of a sample is no duration"
        );
        SignedDuration::from_secs(15)
    })
}
