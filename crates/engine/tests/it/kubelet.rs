//! The least a node does: pods bound to it become ready, and end when asked.

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio::task::AbortHandle;

/// Pods with this image never become ready.
pub(crate) const BROKEN: &str = "broken";

/// A node at work; it stops without a word when dropped.
pub(crate) struct Kubelet {
    task: AbortHandle,
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Kubelet {
    /// Registers a node of 4 processors (unless it exists) and starts it.
    pub(crate) async fn start(client: &Client, name: &str) -> Self {
        let nodes: Api<Node> = Api::all(client.clone());
        let node = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        match nodes.create(&PostParams::default(), &node).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            other => {
                other.unwrap();
            }
        }
        let room = json!({"cpu": "4", "memory": "8Gi", "pods": "110"});
        let status = json!({"status": {
            "allocatable": room, "capacity": room,
            "conditions": [{"type": "Ready", "status": "True"}],
        }});
        nodes
            .patch_status(name, &PatchParams::default(), &Patch::Merge(&status))
            .await
            .unwrap();
        let task = tokio::spawn(run(client.clone(), name.to_owned())).abort_handle();
        Self { task }
    }
}

async fn run(client: Client, node: String) {
    let config = watcher::Config::default().fields(&format!("spec.nodeName={node}"));
    let mut pods = watcher(Api::<Pod>::all(client.clone()), config)
        .default_backoff()
        .applied_objects()
        .boxed();
    let mut last = 1;
    while let Some(pod) = pods.next().await {
        let Ok(pod) = pod else { continue };
        let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap());
        let name = pod.name_any();
        // Losing a race against a deletion is fine: an event follows.
        let _raced = if pod.metadata.deletion_timestamp.is_some() {
            api.delete(
                &name,
                &DeleteParams {
                    grace_period_seconds: Some(0),
                    ..DeleteParams::default()
                },
            )
            .await
            .is_err()
        } else if let Some(status) = next_status(&pod, &mut last) {
            api.patch_status(&name, &PatchParams::default(), &Patch::Merge(&status))
                .await
                .is_err()
        } else {
            false
        };
    }
}

fn next_status(pod: &Pod, last: &mut u16) -> Option<Value> {
    if pod
        .status
        .as_ref()
        .is_some_and(|status| status.pod_ip.is_some())
    {
        return None;
    }
    *last += 1;
    let address = format!("10.244.{}.{}", *last / 250, *last % 250 + 2);
    let image = pod.spec.as_ref()?.containers[0].image.clone()?;
    let ready = if image.contains(BROKEN) {
        "False"
    } else {
        "True"
    };
    Some(json!({"status": {
        "phase": "Running", "podIP": address, "podIPs": [{"ip": address}],
        "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:00:00Z"}],
    }}))
}
