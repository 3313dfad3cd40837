//! Rules for silent nodes and the pods on them.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};

use super::{Inputs, decide, decide_orphan};
use crate::change::{Change, Part};

fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
}

fn node(ready: &str, taints: &Value) -> Node {
    serde_json::from_value(json!({
        "metadata": {"name": "a", "uid": "a"},
        "spec": {"taints": taints},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }))
    .unwrap()
}

fn pod(tolerations: &Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": "web", "namespace": "dev", "uid": "web"},
        "spec": {"containers": [], "nodeName": "a", "tolerations": tolerations},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }))
    .unwrap()
}

fn describe(change: Change) -> Option<String> {
    match change {
        Change::Patch {
            target,
            part: Part::Status,
            ..
        } => Some(format!("status {}", target.name)),
        Change::Patch { target, body, .. } => {
            let taints = body["spec"]["taints"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let names: Vec<_> = taints
                .iter()
                .map(|taint| taint["key"].as_str().unwrap())
                .collect();
            Some(
                format!("taint {} {}", target.name, names.join(" "))
                    .trim_end()
                    .to_owned(),
            )
        }
        Change::Delete { target, .. } => Some(format!("delete {}", target.name)),
        Change::Requeue { after } => Some(format!("wait {}", after.as_secs())),
        _ => None,
    }
}

/// The one place that calls the decision, 100 seconds into the epoch.
#[track_caller]
fn check(node: &Node, pods: &[Pod], silent_seconds: i64, expected: &[&str]) {
    let pods: Vec<Arc<Pod>> = pods.iter().cloned().map(Arc::new).collect();
    let inputs = Inputs {
        node,
        pods: &pods,
        last_heard: at(100 - silent_seconds),
    };
    let steps: Vec<String> = decide(&inputs, at(100))
        .into_iter()
        .filter_map(describe)
        .collect();
    assert_eq!(steps, expected);
}

fn unreachable(seconds_ago: i64) -> Value {
    json!([
        {"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"},
        {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute",
            "timeAdded": at(100 - seconds_ago).to_string()},
    ])
}

#[test]
fn a_node_that_reports_is_looked_at_again_after_the_grace() {
    check(
        &node("True", &json!([])),
        &[pod(&json!([]))],
        10,
        &["wait 41"],
    );
}

#[test]
fn a_silent_node_becomes_unknown_and_its_pods_unready() {
    check(
        &node("True", &json!([])),
        &[pod(&json!([]))],
        51,
        &["status a", "status web"],
    );
}

#[test]
fn a_pod_that_became_ready_after_the_trouble_of_its_node_stays_so() {
    let mut troubled = node("False", &json!([]));
    let at_fifty =
        json!({"type": "Ready", "status": "False", "lastTransitionTime": at(50).to_string()});
    troubled.status.as_mut().unwrap().conditions =
        Some(vec![serde_json::from_value(at_fifty).unwrap()]);
    let ready_at = |seconds: i64| {
        let mut pod = pod(&json!([{"operator": "Exists"}]));
        let conditions = pod.status.as_mut().unwrap().conditions.as_mut().unwrap();
        conditions[0].last_transition_time = Some(
            k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(seconds)),
        );
        pod
    };
    let taints = "taint a node.kubernetes.io/not-ready node.kubernetes.io/not-ready";
    check(
        &troubled,
        &[ready_at(40)],
        10,
        &["wait 41", taints, "status web"],
    );
    check(&troubled, &[ready_at(60)], 10, &["wait 41", taints]);
}

#[test]
fn an_unknown_node_is_tainted_unreachable() {
    let expected = ["taint a node.kubernetes.io/unreachable node.kubernetes.io/unreachable"];
    let mut silent = node("Unknown", &json!([]));
    for kind in ["MemoryPressure", "DiskPressure", "PIDPressure"] {
        let condition = serde_json::from_value(json!({"type": kind, "status": "Unknown"})).unwrap();
        silent
            .status
            .as_mut()
            .unwrap()
            .conditions
            .as_mut()
            .unwrap()
            .push(condition);
    }
    check(&silent, &[], 60, &expected);
}

#[test]
fn a_node_that_returns_loses_our_taints_and_keeps_others() {
    let mut taints = unreachable(5);
    taints
        .as_array_mut()
        .unwrap()
        .push(json!({"key": "gpu", "effect": "NoSchedule"}));
    check(&node("True", &taints), &[], 1, &["wait 50", "taint a gpu"]);
}

#[test]
fn a_cordoned_node_is_tainted_until_it_is_uncordoned() {
    let mut cordoned = node("True", &json!([{"key": "gpu", "effect": "NoSchedule"}]));
    cordoned.spec.as_mut().unwrap().unschedulable = Some(true);
    let expected = ["wait 50", "taint a gpu node.kubernetes.io/unschedulable"];
    check(&cordoned, &[], 1, &expected);
    let taints = json!([{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]);
    check(&node("True", &taints), &[], 1, &["wait 50", "taint a"]);
}

#[test]
fn a_pod_leaves_when_its_patience_is_over() {
    let patient = pod(&json!([
        {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30},
    ]));
    let lost = node("Unknown", &unreachable(10));
    check(
        &lost,
        std::slice::from_ref(&patient),
        10,
        &["wait 41", "status web", "wait 20"],
    );
    let lost = node("Unknown", &unreachable(31));
    check(
        &lost,
        &[patient],
        10,
        &["wait 41", "status web", "status web", "delete web"],
    );
}

#[test]
fn a_pod_that_tolerates_for_ever_stays() {
    let stoic = pod(&json!([{"operator": "Exists"}]));
    check(
        &node("Unknown", &unreachable(1000)),
        &[stoic],
        10,
        &["wait 41", "status web"],
    );
}

#[test]
fn pods_of_a_vanished_node_are_removed_after_a_quarantine() {
    let steps = |now| -> Vec<String> {
        decide_orphan(&pod(&json!([])), at(0), at(now))
            .into_iter()
            .filter_map(describe)
            .collect()
    };
    assert_eq!(steps(10), ["wait 30"]);
    assert_eq!(steps(40), ["status web", "delete web"]);
}
