//! Tells the API that the node is there: its Node object and its Lease.

use std::sync::Arc;
use std::time::Duration;

use foreshore_model::chain;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::kubelet::PORT;
use crate::options::RuntimeKind;
use crate::pod::status::time;

/// The API thinks a node gone after 40 s without a renewal.
const RENEW_EVERY: Duration = Duration::from_secs(10);
const LEASE_SECONDS: i32 = 40;
/// How soon to try again what the API did not accept.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// The status is sent again after so many renewals even if nothing changed.
const STATUS_EVERY: u32 = 30;
const LIMIT: Duration = Duration::from_secs(10);

/// The Kubernetes release this node behaves like.
const KUBELET_VERSION: &str = "v1.36.0+foreshore";

/// Registers and renews until `shutdown`. Whatever goes wrong is tried again.
pub(super) async fn keep_registered(context: Arc<Context>, shutdown: CancellationToken) {
    let mut renewals = 0_u32;
    let mut is_registered = false;
    loop {
        let pause = match beat(&context, is_registered, renewals).await {
            Ok(()) => {
                if !is_registered {
                    tracing::info!(node = context.node_name, runtime = %context.options.runtime, "node is registered");
                }
                is_registered = true;
                renewals = renewals.wrapping_add(1);
                RENEW_EVERY
            }
            Err(error) => {
                tracing::warn!(
                    error,
                    node = context.node_name,
                    "node cannot register or renew; will retry"
                );
                // The object may be gone, so next time all of it is sent.
                is_registered = false;
                AGAIN_AFTER
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn beat(context: &Context, is_registered: bool, renewals: u32) -> Result<(), String> {
    let work = async {
        if !is_registered {
            register(context).await?;
        }
        if !is_registered || renewals.is_multiple_of(STATUS_EVERY) {
            send_status(context).await?;
        }
        renew(&context.options.client, &context.node_name, context.now()).await
    };
    match tokio::time::timeout(LIMIT, work).await {
        Ok(done) => done.map_err(|error: kube::Error| chain(&error)),
        Err(_elapsed) => Err(format!("no answer within {LIMIT:?}")),
    }
}

async fn register(context: &Context) -> Result<(), kube::Error> {
    let api: Api<Node> = Api::all(context.options.client.clone());
    let name = &context.node_name;
    if api.get_opt(name).await?.is_some() {
        let labels = json!({ "metadata": { "labels": labels(context) } });
        api.patch(name, &PatchParams::default(), &Patch::Merge(labels))
            .await?;
        return Ok(());
    }
    let object = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": name, "labels": labels(context) },
        "spec": { "podCIDR": pod_range(context), "podCIDRs": [pod_range(context)] },
        "status": status(context, context.now()),
    });
    let node: Node = serde_json::from_value(object).expect("the object above is a node");
    match api.create(&PostParams::default(), &node).await {
        Ok(_) => Ok(()),
        // Somebody was quicker, or we did not hear the answer last time.
        Err(kube::Error::Api(answer)) if answer.code == 409 => Ok(()),
        Err(error) => Err(error),
    }
}

async fn send_status(context: &Context) -> Result<(), kube::Error> {
    let api: Api<Node> = Api::all(context.options.client.clone());
    let known = api.get(&context.node_name).await?;
    let mut status = status(context, context.now());
    keep_transitions(&mut status, &known);
    let patch = Patch::Strategic(json!({ "status": status }));
    api.patch_status(&context.node_name, &PatchParams::default(), &patch)
        .await?;
    Ok(())
}

/// A condition that says what it said before has not changed since.
fn keep_transitions(status: &mut Value, known: &Node) {
    let before = known
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    for condition in status["conditions"].as_array_mut().into_iter().flatten() {
        let same = before
            .into_iter()
            .flatten()
            .find(|old| condition["type"] == old.type_ && condition["status"] == old.status);
        if let Some(since) = same.and_then(|old| old.last_transition_time.as_ref()) {
            condition["lastTransitionTime"] = json!(since);
        }
    }
}

fn labels(context: &Context) -> Value {
    let mut labels = json!({
        "kubernetes.io/hostname": context.node_name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": architecture(),
        "foreshore.local/runtime": context.options.runtime.name(),
    });
    for (name, value) in &context.options.labels {
        labels[name] = json!(value);
    }
    labels
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn pod_range(context: &Context) -> String {
    format!("10.244.{}.0/24", context.node_index)
}

fn status(context: &Context, now: Timestamp) -> Value {
    let capacity = &context.options.capacity;
    let room = json!({
        "cpu": format!("{}m", capacity.cpu_millis),
        "memory": format!("{}Ki", capacity.memory_bytes / 1024),
        "ephemeral-storage": "100Gi",
        "pods": capacity.pods.to_string(),
    });
    let condition = |kind: &str, value: &str, reason: &str, message: &str| {
        json!({
            "type": kind, "status": value, "reason": reason, "message": message,
            "lastHeartbeatTime": time(now), "lastTransitionTime": time(now),
        })
    };
    let mut status = json!({
        "capacity": room,
        "allocatable": room,
        "addresses": [
            { "type": "InternalIP", "address": context.node_address().to_string() },
            { "type": "Hostname", "address": context.node_name },
        ],
        "conditions": [
            condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "this node does not measure memory pressure"),
            condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "this node does not measure disk pressure"),
            condition("PIDPressure", "False", "KubeletHasSufficientPID", "this node does not measure process numbers"),
            condition("Ready", "True", "KubeletReady", "node agent is posting ready status"),
        ],
        "nodeInfo": node_info(context),
    });
    status["daemonEndpoints"] = json!({ "kubeletEndpoint": { "Port": PORT } });
    if context.options.runtime != RuntimeKind::Simulated {
        // With it the API server passes WebSockets on instead of translating
        // them to SPDY, which this node does not speak.
        status["declaredFeatures"] = json!(["ExtendWebSocketsToKubelet"]);
    }
    status
}

fn node_info(context: &Context) -> Value {
    let kernel = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    json!({
        "architecture": architecture(),
        "bootID": boot.trim(),
        "containerRuntimeVersion": format!("foreshore-{}://{}", context.options.runtime, env!("CARGO_PKG_VERSION")),
        "kernelVersion": kernel,
        "kubeProxyVersion": "",
        "kubeletVersion": KUBELET_VERSION,
        "machineID": machine.trim(),
        "operatingSystem": "linux",
        "osImage": os_image(),
        "systemUUID": machine.trim(),
    })
}

fn os_image() -> String {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(
        || "unknown".to_owned(),
        |name| name.trim_matches('"').to_owned(),
    )
}

async fn renew(client: &Client, node: &str, now: Timestamp) -> Result<(), kube::Error> {
    let api: Api<Lease> = Api::namespaced(client.clone(), "kube-node-lease");
    let change = json!({ "spec": { "renewTime": MicroTime(now), "holderIdentity": node, "leaseDurationSeconds": LEASE_SECONDS } });
    match api
        .patch(node, &PatchParams::default(), &Patch::Merge(change))
        .await
    {
        Err(kube::Error::Api(answer)) if answer.code == 404 => {
            create_lease(client, &api, node, now).await
        }
        other => other.map(drop),
    }
}

async fn create_lease(
    client: &Client,
    api: &Api<Lease>,
    node: &str,
    now: Timestamp,
) -> Result<(), kube::Error> {
    let owner = Api::<Node>::all(client.clone()).get(node).await?;
    let lease = Lease {
        metadata: ObjectMeta {
            name: Some(node.to_owned()),
            owner_references: owner.metadata.uid.map(|uid| {
                vec![OwnerReference {
                    api_version: "v1".to_owned(),
                    kind: "Node".to_owned(),
                    name: node.to_owned(),
                    uid,
                    ..OwnerReference::default()
                }]
            }),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(node.to_owned()),
            lease_duration_seconds: Some(LEASE_SECONDS),
            renew_time: Some(MicroTime(now)),
            ..LeaseSpec::default()
        }),
    };
    api.create(&PostParams::default(), &lease).await.map(drop)
}
