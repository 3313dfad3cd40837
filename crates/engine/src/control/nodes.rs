//! Feeds the decisions about silent nodes and the pods bound to them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use foreshore_controllers::{Change, node_lifecycle};
use foreshore_model::clock;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};

use super::cache::{Cache, Delta};
use super::execute::Executor;
use super::queue::Queue;
use super::work::workers;
use super::{Informers, Task, after_sync};

/// When a node was last heard of, or first missed, by our own clock.
#[derive(Default)]
struct Memory {
    heard: Mutex<HashMap<String, Timestamp>>,
    missed: Mutex<HashMap<String, Timestamp>>,
}

pub(super) fn tasks(informers: &mut Informers, executor: &Executor) -> Vec<Task> {
    let queue = Arc::new(Queue::<String>::new());
    let memory = Arc::new(Memory::default());
    let nodes = informers.nodes.cache();
    let pods = informers.pods.cache();

    let (filled, remembered) = (Arc::clone(&queue), Arc::clone(&memory));
    informers.nodes.on_change(move |delta| {
        let name = delta.latest().metadata.name.clone().unwrap_or_default();
        if delta.old.is_none() || is_heartbeat(delta) {
            remembered.hear(&name);
        }
        filled.add(name);
    });
    // A renewed lease only moves the moment of the next look.
    let remembered = Arc::clone(&memory);
    informers.leases.on_change(move |delta| {
        remembered.hear(delta.latest().metadata.name.as_deref().unwrap_or_default());
    });
    let (filled, known) = (Arc::clone(&queue), Arc::clone(&nodes));
    informers.pods.on_change(move |delta| {
        if let Some(name) = delta.new.as_ref().and_then(|pod| node_of(pod))
            && known.get("", name).is_none_or(|node| !is_healthy(&node))
        {
            filled.add(name.to_owned());
        }
    });

    let caches = (Arc::clone(&nodes), Arc::clone(&pods));
    let ready = async move {
        tokio::join!(caches.0.synced(), caches.1.synced());
    };
    let decide = move |name: &String| memory.decide(&nodes, &pods, name);
    let executor = executor.of("node-controller");
    vec![after_sync(
        ready,
        workers(1, &queue, &executor, decide, |_, _| ()),
    )]
}

impl Memory {
    fn decide(&self, nodes: &Cache<Node>, pods: &Cache<Pod>, name: &str) -> Vec<Change> {
        let now = clock::now();
        let bound = || -> Vec<Arc<Pod>> {
            pods.all()
                .into_iter()
                .filter(|pod| node_of(pod) == Some(name))
                .collect()
        };
        let Some(node) = nodes.get("", name) else {
            let mut missed = self
                .missed
                .lock()
                .expect("no code panics while it holds the times");
            let since = *missed.entry(name.to_owned()).or_insert(now);
            let orphans = bound();
            if orphans.is_empty() {
                missed.remove(name);
            }
            return orphans
                .iter()
                .flat_map(|pod| node_lifecycle::decide_orphan(pod, since, now))
                .collect();
        };
        self.missed
            .lock()
            .expect("no code panics while it holds the times")
            .remove(name);
        let last_heard = *self
            .heard
            .lock()
            .expect("no code panics while it holds the times")
            .entry(name.to_owned())
            .or_insert(now);
        // Pods of a healthy node need no look; there may be thousands.
        let is_silent = now.duration_since(last_heard) > node_lifecycle::GRACE;
        let pods = if is_silent || !is_healthy(&node) {
            bound()
        } else {
            Vec::new()
        };
        node_lifecycle::decide(
            &node_lifecycle::Inputs {
                node: &node,
                pods: &pods,
                last_heard,
            },
            now,
        )
    }

    fn hear(&self, name: &str) {
        let now = clock::now();
        self.heard
            .lock()
            .expect("no code panics while it holds the times")
            .insert(name.to_owned(), now);
    }
}

/// Our own patches change a node too; only its agent moves these times.
fn is_heartbeat(delta: &Delta<Node>) -> bool {
    let times = |node: &Arc<Node>| -> Vec<_> {
        node.status
            .iter()
            .flat_map(|status| status.conditions.iter().flatten())
            .map(|condition| condition.last_heartbeat_time.clone())
            .collect()
    };
    match (&delta.old, &delta.new) {
        (Some(old), Some(new)) => times(old) != times(new),
        _ => true,
    }
}

/// Ready and without taints that drive pods away.
fn is_healthy(node: &Node) -> bool {
    let ready = node
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten())
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let evicts = node
        .spec
        .iter()
        .flat_map(|spec| spec.taints.iter().flatten())
        .any(|taint| taint.effect == "NoExecute");
    ready && !evicts
}

fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec
        .as_ref()?
        .node_name
        .as_deref()
        .filter(|name| !name.is_empty())
}
