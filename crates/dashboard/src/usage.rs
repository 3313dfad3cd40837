//! What pods and nodes take of processor and memory, as the cluster's own metrics API says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use kube::Client;
use serde::Deserialize;
use serde_json::Value;

use crate::project::{bytes, millis};
use crate::site::Site;

/// Clusters measure every fifteen seconds or more rarely.
const ASK_EVERY: Duration = Duration::from_secs(10);
const ASK_LIMIT: Duration = Duration::from_secs(10);

/// What is taken at the moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Taken {
    pub(crate) cpu_millis: i64,
    pub(crate) memory_bytes: i64,
}

/// What was measured last; nothing of what nobody measured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// By `namespace/name`.
    pub(crate) pods: BTreeMap<String, Taken>,
    pub(crate) nodes: BTreeMap<String, Taken>,
}

/// Asks until shutdown; without an answer nothing is known, and pages say so.
pub(crate) async fn follow(site: Arc<Site>) {
    loop {
        let usage = match tokio::time::timeout(ASK_LIMIT, ask(&site.client)).await {
            Ok(Ok(usage)) => Some(Arc::new(usage)),
            Ok(Err(error)) => {
                tracing::trace!(
                    error = &error as &dyn std::error::Error,
                    "the cluster has no metrics"
                );
                None
            }
            Err(_) => None,
        };
        if site.kinds().usage != usage {
            site.change(|kinds| kinds.usage = usage);
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Only what is used of a long answer.
#[derive(Deserialize)]
struct List<T> {
    #[serde(default = "Vec::new")]
    items: Vec<T>,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    namespace: String,
    name: String,
}

#[derive(Deserialize)]
struct PodMetrics {
    metadata: Metadata,
    #[serde(default)]
    containers: Vec<Measured>,
}

#[derive(Deserialize)]
struct NodeMetrics {
    metadata: Metadata,
    usage: Value,
}

#[derive(Deserialize)]
struct Measured {
    usage: Value,
}

fn taken(usage: &Value) -> Taken {
    Taken {
        cpu_millis: millis(usage.get("cpu")),
        memory_bytes: bytes(usage.get("memory")),
    }
}

async fn list<T: serde::de::DeserializeOwned>(
    client: &Client,
    kind: &str,
) -> Result<List<T>, kube::Error> {
    let request = Request::get(format!("/apis/metrics.k8s.io/v1beta1/{kind}"))
        .body(Vec::new())
        .map_err(kube::Error::HttpError)?;
    client.request(request).await
}

async fn ask(client: &Client) -> Result<Usage, kube::Error> {
    let pods: List<PodMetrics> = list(client, "pods").await?;
    let nodes: List<NodeMetrics> = list(client, "nodes").await?;
    let pods = pods.items.into_iter().map(|pod| {
        let mut sum = Taken::default();
        for container in &pod.containers {
            let part = taken(&container.usage);
            sum.cpu_millis = sum.cpu_millis.saturating_add(part.cpu_millis);
            sum.memory_bytes = sum.memory_bytes.saturating_add(part.memory_bytes);
        }
        let key = format!("{}/{}", pod.metadata.namespace, pod.metadata.name);
        (key, sum)
    });
    let nodes = nodes.items.into_iter();
    Ok(Usage {
        pods: pods.collect(),
        nodes: nodes
            .map(|node| (node.metadata.name, taken(&node.usage)))
            .collect(),
    })
}
