//! Rules of `ReplicaSets`: how many pods, which ones go, what the status says.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::{Inputs, decide};
use crate::change::{Change, Part};

fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(10)
}

fn set(replicas: i32) -> Value {
    json!({
        "metadata": {"name": "web", "namespace": "dev", "uid": "set", "generation": 1},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web"}]}},
        },
    })
}

/// A pod of the set. `state` is one of: unassigned, pending, starting, ready, gone, failed.
fn pod(name: &str, state: &str) -> Value {
    let mut pod = json!({
        "metadata": {
            "name": name, "namespace": "dev", "uid": name, "labels": {"app": "web"},
            "creationTimestamp": "1970-01-01T00:00:00Z",
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "set", "controller": true},
            ],
        },
        "spec": {"containers": [], "nodeName": "a"},
        "status": {"phase": "Running"},
    });
    match state {
        "unassigned" => pod["spec"] = json!({"containers": []}),
        "pending" => pod["status"]["phase"] = json!("Pending"),
        "failed" => pod["status"]["phase"] = json!("Failed"),
        "gone" => pod["metadata"]["deletionTimestamp"] = json!("1970-01-01T09:00:00Z"),
        "ready" => {
            pod["status"]["conditions"] = json!([{"type": "Ready", "status": "True", "lastTransitionTime": "1970-01-01T01:00:00Z"}]);
        }
        _ => {}
    }
    pod
}

fn run(set: &Value, pods: &[Value], settled: bool, failure: Option<&str>) -> Vec<Change> {
    let set: ReplicaSet = serde_json::from_value(set.clone()).unwrap();
    let pods: Vec<Arc<Pod>> = pods
        .iter()
        .map(|pod| Arc::new(serde_json::from_value(pod.clone()).unwrap()))
        .collect();
    decide(
        &Inputs {
            replica_set: &set,
            pods: &pods,
            settled,
            failure,
        },
        now(),
    )
}

/// The one place that calls the decision; status patches are left out.
#[track_caller]
fn check(replicas: i32, pods: &[Value], expected: &[&str]) {
    let steps: Vec<String> = run(&set(replicas), pods, true, None)
        .into_iter()
        .filter_map(|change| match change {
            Change::Create { .. } => Some("create".to_owned()),
            Change::Delete { target, .. } => Some(format!("delete {}", target.name)),
            Change::ConfirmLive { .. } => Some("confirm".to_owned()),
            Change::Patch {
                target,
                part: Part::Main,
                ..
            } => Some(format!("patch {}", target.name)),
            _ => None,
        })
        .collect();
    assert_eq!(steps, expected);
}

#[test]
fn missing_pods_are_created_and_ended_ones_replaced() {
    check(
        2,
        &[pod("a", "ready"), pod("b", "failed"), pod("c", "gone")],
        &["create"],
    );
}

#[test]
fn the_pod_that_serves_least_is_deleted_first() {
    check(
        1,
        &[
            pod("a", "ready"),
            pod("b", "unassigned"),
            pod("c", "pending"),
            pod("d", "starting"),
        ],
        &["delete b", "delete c", "delete d"],
    );
}

#[test]
fn a_lower_deletion_cost_goes_first() {
    let mut dear = pod("a", "ready");
    dear["metadata"]["annotations"] = json!({"controller.kubernetes.io/pod-deletion-cost": "100"});
    check(1, &[dear, pod("b", "ready")], &["delete b"]);
}

#[test]
fn a_crowded_node_gives_up_a_pod_first() {
    let mut alone = pod("a", "ready");
    alone["spec"]["nodeName"] = json!("b");
    check(
        2,
        &[alone, pod("x", "ready"), pod("y", "ready")],
        &["delete x"],
    );
}

#[test]
fn a_pod_without_owner_is_adopted_after_a_live_read() {
    let mut orphan = pod("a", "ready");
    orphan["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("ownerReferences");
    check(1, &[orphan], &["confirm", "patch a"]);
}

#[test]
fn a_pod_that_no_longer_matches_is_released_and_replaced() {
    let mut relabelled = pod("a", "ready");
    relabelled["metadata"]["labels"] = json!({"app": "other"});
    check(1, &[relabelled], &["patch a", "create"]);
}

#[test]
fn nothing_is_created_twice_while_the_cache_lags() {
    let changes = run(&set(3), &[], false, None);
    assert!(
        !changes
            .iter()
            .any(|change| matches!(change, Change::Create { .. })),
        "{changes:#?}"
    );
}

#[test]
fn a_refused_creation_shows_as_a_condition() {
    let changes = run(&set(1), &[], true, Some("quota"));
    let Some(Change::Patch {
        part: Part::Status,
        body,
        ..
    }) = changes.first()
    else {
        panic!("{changes:#?}")
    };
    let condition = &body["status"]["conditions"][0];
    assert_eq!(condition["type"], "ReplicaFailure");
    assert_eq!(condition["reason"], "FailedCreate");
    assert_eq!(condition["message"], "quota");
}

#[test]
fn a_ready_pod_is_available_only_after_the_wait() {
    let mut patient = set(1);
    patient["spec"]["minReadySeconds"] = json!(9 * 3600 + 60);
    let changes = run(&patient, &[pod("a", "ready")], true, None);
    let Some(Change::Patch { body, .. }) = changes.first() else {
        panic!("{changes:#?}")
    };
    assert_eq!(body["status"]["readyReplicas"], 1);
    assert_eq!(body["status"]["availableReplicas"], 0);
    let Some(Change::Requeue { after }) = changes.last() else {
        panic!("{changes:#?}")
    };
    assert_eq!(after.as_secs(), 60);
}
