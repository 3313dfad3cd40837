//! What the silence of a node means: conditions, taints, eviction of its pods.

mod eviction;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, NodeCondition, Pod, PodCondition, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::change::{Change, Target, name, uid};
use crate::pod;

pub use eviction::decide_orphan;

const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const NOT_READY: &str = "node.kubernetes.io/not-ready";
/// The reason of a condition no agent ever wrote.
const NEVER_UPDATED: &str = "NodeStatusNeverUpdated";
/// Put on a node that is cordoned.
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// Silence after which a node's own conditions are no longer believed: five
/// missed renewals of its lease, as in other control planes.
pub const GRACE: SignedDuration = SignedDuration::from_secs(50);

/// What is known about one node.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    pub node: &'a Node,
    /// All pods bound to it.
    pub pods: &'a [Arc<Pod>],
    /// When its lease or status was last seen to change. This is our own
    /// clock: the node's may be wrong.
    pub last_heard: Timestamp,
}

/// Whether the node can be expected to run pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Ready,
    NotReady,
    Unreachable,
}

/// Returns the changes that tell the cluster how the node is.
pub fn decide(inputs: &Inputs<'_>, now: Timestamp) -> Vec<Change> {
    let node = inputs.node;
    if node.metadata.deletion_timestamp.is_some() {
        return Vec::new();
    }
    let silence = now.duration_since(inputs.last_heard);
    let health = match ready_status(node) {
        _ if silence > GRACE => Health::Unreachable,
        Some("True") => Health::Ready,
        Some("Unknown") => Health::Unreachable,
        _ => Health::NotReady,
    };
    let mut changes = Vec::new();
    if silence > GRACE {
        changes.extend(conditions_unknown(node, now));
    } else {
        changes.push(requeue(GRACE - silence + SignedDuration::from_secs(1)));
    }
    // The status patch moved the resource version; taints follow on its event.
    if !changes
        .iter()
        .any(|change| matches!(change, Change::Patch { .. }))
    {
        changes.extend(taint(node, health, now));
    }
    for pod in inputs.pods {
        if health != Health::Ready && was_ready_before(pod, node) {
            changes.extend(pod_not_ready(pod, now));
        }
        changes.extend(eviction::decide(node, pod, now));
    }
    changes
}

fn requeue(after: SignedDuration) -> Change {
    Change::Requeue {
        after: Duration::try_from(after).unwrap_or_default(),
    }
}

fn ready_status(node: &Node) -> Option<&str> {
    ready_condition(node).map(|condition| condition.status.as_str())
}

fn ready_condition(node: &Node) -> Option<&NodeCondition> {
    let mut conditions = node.status.as_ref()?.conditions.iter().flatten();
    conditions.find(|condition| condition.type_ == "Ready")
}

fn conditions_unknown(node: &Node, now: Timestamp) -> Option<Change> {
    let mut wanted = node.clone();
    let conditions = wanted
        .status
        .get_or_insert_default()
        .conditions
        .get_or_insert_default();
    for kind in ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"] {
        let known = conditions
            .iter_mut()
            .find(|condition| condition.type_ == kind);
        match known {
            Some(known) if known.status == "Unknown" => {}
            Some(known) => {
                "Unknown".clone_into(&mut known.status);
                known.reason = Some("NodeStatusUnknown".to_owned());
                known.message = Some("Kubelet stopped posting node status.".to_owned());
                known.last_transition_time = Some(Time(now));
            }
            None => conditions.push(NodeCondition {
                type_: kind.to_owned(),
                status: "Unknown".to_owned(),
                reason: Some(NEVER_UPDATED.to_owned()),
                message: Some("Kubelet never posted node status.".to_owned()),
                last_heartbeat_time: None,
                last_transition_time: Some(Time(now)),
            }),
        }
    }
    Change::update_status(node, &wanted)
}

/// Keeps exactly the taints that fit the node's health and its cordon, and all others.
fn taint(node: &Node, health: Health, now: Timestamp) -> Option<Change> {
    let mut due: Vec<(&str, &str)> = Vec::new();
    let key = match health {
        Health::Ready => None,
        Health::NotReady => Some(NOT_READY),
        Health::Unreachable => Some(UNREACHABLE),
    };
    if let Some(key) = key {
        due.extend([(key, "NoSchedule"), (key, "NoExecute")]);
    }
    if node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true) {
        due.push((UNSCHEDULABLE, "NoSchedule"));
    }
    let mut wanted = node.clone();
    let taints = wanted
        .spec
        .get_or_insert_default()
        .taints
        .get_or_insert_default();
    let is_ours = |taint: &Taint| match taint.key.as_str() {
        NOT_READY | UNREACHABLE => true,
        UNSCHEDULABLE => taint.effect == "NoSchedule",
        _ => false,
    };
    let is_due = |taint: &Taint| due.contains(&(taint.key.as_str(), taint.effect.as_str()));
    taints.retain(|taint| !is_ours(taint) || is_due(taint));
    for (key, effect) in due {
        let is_there = |taint: &Taint| taint.key == key && taint.effect == effect;
        if !taints.iter().any(is_there) {
            taints.push(Taint {
                key: key.to_owned(),
                effect: effect.to_owned(),
                time_added: Some(Time(now)),
                value: None,
            });
        }
    }
    let before = node
        .spec
        .as_ref()
        .and_then(|spec| spec.taints.as_deref())
        .unwrap_or_default();
    if before == taints.as_slice() {
        return None;
    }
    Change::update(node, &wanted)
}

/// Tells whether the pod's readiness is older than the trouble of its node. A
/// node that was never ready has taken nothing from anybody.
fn was_ready_before(pod: &Pod, node: &Node) -> bool {
    let Some(condition) = ready_condition(node) else {
        return false;
    };
    if condition.status == "True" {
        // It falls silent just now.
        return true;
    }
    let changed = condition.last_transition_time.as_ref().map(|time| time.0);
    condition.reason.as_deref() != Some(NEVER_UPDATED)
        && changed.is_none_or(|changed| pod::ready_since(pod).is_none_or(|since| since <= changed))
}

/// A pod nobody hears of must not get traffic.
fn pod_not_ready(pod: &Pod, now: Timestamp) -> Option<Change> {
    if !pod::is_ready(pod) {
        return None;
    }
    let mut wanted = pod.clone();
    set_condition(
        &mut wanted,
        "Ready",
        "False",
        "NodeNotReady",
        "node is not ready",
        now,
    );
    Change::update_status(pod, &wanted)
}

fn set_condition(
    pod: &mut Pod,
    kind: &str,
    status: &str,
    reason: &str,
    message: &str,
    now: Timestamp,
) {
    let conditions = pod
        .status
        .get_or_insert_default()
        .conditions
        .get_or_insert_default();
    conditions.retain(|condition| condition.type_ != kind);
    conditions.push(PodCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_transition_time: Some(Time(now)),
        ..PodCondition::default()
    });
}

fn delete_pod(pod: &Pod, grace_seconds: Option<i64>) -> Change {
    Change::Delete {
        target: Target::of(pod),
        uid: uid(pod).to_owned(),
        resource_version: None,
        propagation: None,
        grace_seconds,
        announce: None,
    }
}

fn node_name(node: &Node) -> &str {
    name(node)
}
