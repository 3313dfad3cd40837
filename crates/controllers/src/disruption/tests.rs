//! What budgets allow, with integers, percentages, and evictions under way.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde_json::{Value, json};

use super::{Inputs, decide, decide_stale};
use crate::change::Change;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).unwrap()
}

fn pod(name: &str, ready: &str, owner: &str) -> Arc<Pod> {
    let mut pod = json!({
        "metadata": {"name": name, "namespace": "dev", "uid": name, "labels": {"app": "web"}},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]},
    });
    if !owner.is_empty() {
        let kind = if owner.starts_with("job") {
            "Job"
        } else {
            "ReplicaSet"
        };
        let group = if kind == "Job" { "batch/v1" } else { "apps/v1" };
        pod["metadata"]["ownerReferences"] = json!([
            {"apiVersion": group, "kind": kind, "name": owner, "uid": owner, "controller": true},
        ]);
    }
    Arc::new(serde_json::from_value(pod).unwrap())
}

fn set(name: &str, replicas: i32) -> Arc<ReplicaSet> {
    let set = json!({
        "metadata": {"name": name, "namespace": "dev", "uid": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}},
    });
    Arc::new(serde_json::from_value(set).unwrap())
}

fn budget(spec: &Value, status: &Value) -> PodDisruptionBudget {
    let mut spec = spec.clone();
    spec["selector"] = json!({"matchLabels": {"app": "web"}});
    let budget = json!({
        "metadata": {"name": "web", "namespace": "dev", "uid": "budget", "generation": 1, "resourceVersion": "1"},
        "spec": spec,
        "status": status,
    });
    serde_json::from_value(budget).unwrap()
}

fn status_of(changes: &[Change]) -> Option<Value> {
    changes.iter().find_map(|change| match change {
        Change::Patch { body, .. } => Some(body["status"].clone()),
        _ => None,
    })
}

fn run(budget: &PodDisruptionBudget, pods: &[Arc<Pod>]) -> Vec<Change> {
    let inputs = Inputs {
        budget,
        pods,
        replica_sets: &[set("web", 4)],
        deployments: &[],
        stateful_sets: &[],
    };
    decide(&inputs, at(0))
}

/// Three ready pods and one that is not, of a set of four.
fn four() -> Vec<Arc<Pod>> {
    vec![
        pod("a", "True", "web"),
        pod("b", "True", "web"),
        pod("c", "True", "web"),
        pod("d", "False", "web"),
    ]
}

/// Healthy, wanted healthy, expected, allowed.
#[track_caller]
fn check(spec: &Value, expected: [i32; 4]) {
    let status = status_of(&run(&budget(spec, &json!({})), &four())).unwrap();
    let keys = [
        "currentHealthy",
        "desiredHealthy",
        "expectedPods",
        "disruptionsAllowed",
    ];
    let found = keys.map(|key| i32::try_from(status[key].as_i64().unwrap()).unwrap());
    assert_eq!(found, expected, "{spec}");
    let condition = &status["conditions"][0];
    let (wanted, reason) = if expected[3] > 0 {
        ("True", "SufficientPods")
    } else {
        ("False", "InsufficientPods")
    };
    assert_eq!(condition["status"], wanted);
    assert_eq!(condition["reason"], reason);
}

#[test]
fn each_way_to_word_a_budget_gives_its_numbers() {
    check(&json!({"minAvailable": 2}), [3, 2, 4, 1]);
    check(&json!({"minAvailable": 3}), [3, 3, 4, 0]);
    check(&json!({"minAvailable": "50%"}), [3, 2, 4, 1]);
    check(&json!({"minAvailable": "51%"}), [3, 3, 4, 0]);
    check(&json!({"maxUnavailable": 1}), [3, 3, 4, 0]);
    check(&json!({"maxUnavailable": 2}), [3, 2, 4, 1]);
    check(&json!({"maxUnavailable": "26%"}), [3, 2, 4, 1]);
    check(&json!({"maxUnavailable": "100%"}), [3, 0, 4, 3]);
}

#[test]
fn a_budget_without_pods_allows_nothing() {
    let changes = run(&budget(&json!({"minAvailable": 0}), &json!({})), &[]);
    let status = status_of(&changes).unwrap();
    assert_eq!(status["disruptionsAllowed"], 0);
    assert!(
        changes
            .iter()
            .any(|change| matches!(change, Change::Event { reason, .. } if *reason == "NoPods"))
    );
}

#[test]
fn pods_of_something_without_a_scale_make_it_fail_closed() {
    let before = json!({"disruptionsAllowed": 3, "observedGeneration": 1});
    let changes = run(
        &budget(&json!({"maxUnavailable": 1}), &before),
        &[pod("a", "True", "job-1")],
    );
    let status = status_of(&changes).unwrap();
    assert_eq!(status["disruptionsAllowed"], 0);
    assert_eq!(status["conditions"][0]["reason"], "SyncFailed");
    assert_eq!(
        status["conditions"][0]["message"],
        "jobs.batch does not implement the scale subresource"
    );
}

#[test]
fn a_granted_eviction_counts_until_its_time_is_over() {
    let granted = |seconds: i64| json!({"disruptedPods": {"a": at(-seconds).to_string()}});
    let spec = json!({"minAvailable": 1});
    let fresh = status_of(&run(&budget(&spec, &granted(30)), &four())).unwrap();
    assert_eq!(fresh["currentHealthy"], 2);
    assert_eq!(fresh["disruptionsAllowed"], 1);
    let changes = run(&budget(&spec, &granted(121)), &four());
    let late = status_of(&changes).unwrap();
    assert_eq!(late["currentHealthy"], 3);
    assert_eq!(late["disruptedPods"], Value::Null);
    assert!(
        changes.iter().any(
            |change| matches!(change, Change::Event { reason, .. } if *reason == "NotDeleted")
        )
    );
}

#[test]
fn a_status_that_is_right_is_not_written_again() {
    let mut once = budget(&json!({"minAvailable": 2}), &json!({}));
    let status = status_of(&run(&once, &four())).unwrap();
    once.status = Some(serde_json::from_value(status).unwrap());
    assert_eq!(run(&once, &four()), []);
}

#[test]
fn an_announced_disruption_that_never_came_is_taken_back() {
    let mut target = pod("a", "True", "web").as_ref().clone();
    let condition = json!({
        "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
        "lastTransitionTime": at(0).to_string(),
    });
    let status = target.status.as_mut().unwrap();
    status.conditions = Some(vec![serde_json::from_value(condition).unwrap()]);
    assert!(matches!(
        decide_stale(&target, at(60)).as_slice(),
        [Change::Requeue { .. }]
    ));
    let changes = decide_stale(&target, at(121));
    assert_eq!(
        status_of(&changes).unwrap()["conditions"][0]["status"],
        "False"
    );
}
