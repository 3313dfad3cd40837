//! What pages show of a node.

use jiff::Timestamp;
use kube::core::DynamicObject;
use serde_json::Value;

use super::{bytes, created, int, label, list, millis, text, time};

/// One node, as far as pages show it.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) ready: Ready,
    pub(crate) reason: String,
    pub(crate) message: String,
    /// As its status says; a lease is usually younger.
    pub(crate) heartbeat: Option<Timestamp>,
    pub(crate) cordoned: bool,
    pub(crate) cpu_millis: i64,
    pub(crate) memory_bytes: i64,
    pub(crate) pods_max: i64,
    pub(crate) version: String,
    pub(crate) runtime: String,
    pub(crate) zone: Option<String>,
    pub(crate) created: Option<Timestamp>,
    /// Conditions other than readiness that hold, like `DiskPressure`.
    pub(crate) pressures: Vec<String>,
    pub(crate) address: String,
}

/// Whether a node says that it can take pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ready {
    No,
    Unknown,
    Yes,
}

pub(crate) fn node(object: &DynamicObject) -> Node {
    let data = &object.data;
    let conditions = list(data, "/status/conditions");
    let none = Value::Null;
    let readiness = conditions
        .iter()
        .find(|condition| condition["type"] == "Ready")
        .unwrap_or(&none);
    let pressures = conditions
        .iter()
        .filter(|condition| condition["type"] != "Ready" && condition["status"] == "True");
    let addresses = list(data, "/status/addresses");
    let address = addresses
        .iter()
        .find(|address| address["type"] == "InternalIP");
    Node {
        name: object.metadata.name.clone().unwrap_or_default(),
        ready: match readiness["status"].as_str() {
            Some("True") => Ready::Yes,
            Some("False") => Ready::No,
            _ => Ready::Unknown,
        },
        reason: text(readiness, "/reason"),
        message: text(readiness, "/message"),
        heartbeat: time(readiness, "/lastHeartbeatTime"),
        cordoned: data.pointer("/spec/unschedulable") == Some(&Value::Bool(true)),
        cpu_millis: millis(data.pointer("/status/allocatable/cpu")),
        memory_bytes: bytes(data.pointer("/status/allocatable/memory")),
        pods_max: int(data, "/status/allocatable/pods")
            .unwrap_or_else(|| millis(data.pointer("/status/allocatable/pods")) / 1_000),
        version: text(data, "/status/nodeInfo/kubeletVersion"),
        runtime: text(data, "/status/nodeInfo/containerRuntimeVersion"),
        zone: label(object, "topology.kubernetes.io/zone"),
        created: created(object),
        pressures: pressures
            .map(|condition| text(condition, "/type"))
            .collect(),
        address: address.map_or_else(String::new, |address| text(address, "/address")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_without_a_word_about_readiness_is_unknown() {
        let read = |status: Value| {
            node(&serde_json::from_value(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "status": status})).unwrap())
        };
        assert_eq!(read(json!({})).ready, Ready::Unknown);
        let pressed = read(json!({
            "conditions": [{"type": "Ready", "status": "False", "reason": "KubeletNotReady"}, {"type": "DiskPressure", "status": "True"}],
            "allocatable": {"cpu": "2", "memory": "1Gi", "pods": "110"},
        }));
        assert_eq!(
            (pressed.ready, pressed.reason.as_str()),
            (Ready::No, "KubeletNotReady")
        );
        assert_eq!(pressed.pressures, ["DiskPressure"]);
        assert_eq!(
            (pressed.cpu_millis, pressed.memory_bytes, pressed.pods_max),
            (2_000, 1 << 30, 110)
        );
    }
}
