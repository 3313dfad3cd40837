//! Tells the API what happened to pods, for people to read.
//!
//! Events are help, not truth: when the API cannot keep up they are dropped.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use tokio::sync::mpsc;

use crate::pod::{fields, status::time};

/// Events waiting to be sent; beyond that they are dropped.
const QUEUE: usize = 512;
/// Events remembered so that a repetition is counted instead of added.
const REMEMBERED: usize = 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Weight {
    Normal,
    Warning,
}

#[derive(Debug, Clone)]
pub(crate) struct Happening {
    pub weight: Weight,
    pub reason: &'static str,
    pub message: String,
    /// The container it is about.
    pub container: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    uid: String,
    container: Option<String>,
    reason: &'static str,
    message: String,
}

#[derive(Debug)]
struct Order {
    key: Key,
    reference: ObjectReference,
    weight: Weight,
    at: Timestamp,
}

/// Hands events to the task that sends them; starts it with the first one.
#[derive(Debug)]
pub(crate) struct Events {
    orders: OnceLock<mpsc::Sender<Order>>,
    sender: Mutex<Option<Sender>>,
}

impl Events {
    /// `salt` keeps names of events from clashing with those of an earlier run.
    pub(crate) fn new(client: kube::Client, node_name: String, salt: u32) -> Self {
        let sender = Sender {
            client,
            node_name,
            salt,
            count: 0,
            known: HashMap::new(),
        };
        Self {
            orders: OnceLock::new(),
            sender: Mutex::new(Some(sender)),
        }
    }

    fn orders(&self) -> &mpsc::Sender<Order> {
        self.orders.get_or_init(|| {
            let (orders, queue) = mpsc::channel(QUEUE);
            if let Some(sender) = self
                .sender
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take()
            {
                // Ends when the last handle is gone.
                tokio::spawn(sender.run(queue));
            }
            orders
        })
    }

    pub(crate) fn tell(&self, pod: &Pod, happening: Happening, now: Timestamp) {
        let path = happening
            .container
            .as_ref()
            .map(|name| format!("spec.containers{{{name}}}"));
        let order = Order {
            key: Key {
                uid: fields::uid(pod).to_owned(),
                container: happening.container,
                reason: happening.reason,
                message: happening.message,
            },
            reference: ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                namespace: pod.metadata.namespace.clone(),
                name: pod.metadata.name.clone(),
                uid: pod.metadata.uid.clone(),
                resource_version: pod.metadata.resource_version.clone(),
                field_path: path,
            },
            weight: happening.weight,
            at: now,
        };
        if let Err(error) = self.orders().try_send(order) {
            tracing::debug!(%error, "event dropped");
        }
    }
}

struct Sender {
    client: kube::Client,
    node_name: String,
    salt: u32,
    count: u64,
    known: HashMap<Key, (String, i32)>,
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender")
            .field("node_name", &self.node_name)
            .finish_non_exhaustive()
    }
}

impl Sender {
    async fn run(mut self, mut queue: mpsc::Receiver<Order>) {
        while let Some(order) = queue.recv().await {
            let reason = order.key.reason;
            if let Err(error) = self.send(order).await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    reason,
                    "event lost"
                );
            }
        }
    }

    async fn send(&mut self, order: Order) -> Result<(), kube::Error> {
        let namespace = order
            .reference
            .namespace
            .clone()
            .unwrap_or_else(|| "default".to_owned());
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        if let Some((name, count)) = self.known.get_mut(&order.key) {
            *count += 1;
            let change = serde_json::json!({ "count": *count, "lastTimestamp": time(order.at) });
            match api
                .patch(name, &PatchParams::default(), &Patch::Merge(change))
                .await
            {
                Ok(_) => return Ok(()),
                // Events expire; this one is then told anew.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => return Err(error),
            }
        }
        self.count += 1;
        let pod: String = order
            .reference
            .name
            .iter()
            .flat_map(|name| name.chars())
            .take(200)
            .collect();
        let name = format!("{pod}.{:x}{:04x}", self.salt, self.count);
        let event = self.event(&name, &namespace, &order);
        api.create(&PostParams::default(), &event).await?;
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.insert(order.key, (name, 1));
        Ok(())
    }

    fn event(&self, name: &str, namespace: &str, order: &Order) -> Event {
        Event {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            involved_object: order.reference.clone(),
            reason: Some(order.key.reason.to_owned()),
            message: Some(order.key.message.clone()),
            type_: Some(
                if order.weight == Weight::Normal {
                    "Normal"
                } else {
                    "Warning"
                }
                .to_owned(),
            ),
            count: Some(1),
            first_timestamp: Some(time(order.at)),
            last_timestamp: Some(time(order.at)),
            source: Some(EventSource {
                component: Some("kubelet".to_owned()),
                host: Some(self.node_name.clone()),
            }),
            reporting_component: Some("kubelet".to_owned()),
            reporting_instance: Some(self.node_name.clone()),
            ..Event::default()
        }
    }
}
