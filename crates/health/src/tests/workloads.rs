//! Deployments, replica sets, stateful sets, daemon sets.

use std::time::Duration;

use serde_json::{Value, json};

use super::pods::crashed;
use super::{ago, check, conditions, conditions_since, merge, now, object};
use crate::{Context, Options, Related, State, assess};

fn owned(kind: &str, name: &str, owner: &str, extra: Value) -> Value {
    let version = if kind == "Pod" { "v1" } else { "apps/v1" };
    let mut made = json!({"metadata": {"name": name, "uid": name, "creationTimestamp": ago(5),
        "ownerReferences": [{"controller": true, "uid": owner}]}});
    merge(&mut made, extra);
    object(version, kind, made)
}

/// A healthy deployment of two replicas, changed by `extra`.
fn deployment(extra: Value) -> Value {
    let mut made = json!({
        "metadata": {"generation": 3},
        "spec": {"replicas": 2, "progressDeadlineSeconds": 600,
            "template": {"spec": {"containers": [{"name": "app", "readinessProbe": {}}]}}},
        "status": {"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2,
            "readyReplicas": 2,
            "conditions": conditions(&["Available=True", "Progressing=True:NewReplicaSetAvailable"])},
    });
    merge(&mut made, extra);
    object("apps/v1", "Deployment", made)
}

fn status(extra: Value) -> Value {
    deployment(json!({ "status": extra }))
}

fn replica_sets() -> [Value; 2] {
    let set = |name: &str, revision: &str| {
        let extra =
            json!({"metadata": {"annotations": {"deployment.kubernetes.io/revision": revision}}});
        owned("ReplicaSet", name, "uid-x", extra)
    };
    [set("new", "10"), set("old", "9")]
}

#[test]
fn a_deployment_is_current_when_every_count_is_as_wanted() {
    check(&deployment(json!({})), &[], State::Current, "");
    check(
        &status(json!({"observedGeneration": 2})),
        &[],
        State::InProgress,
        "NotObserved",
    );
    for field in [
        "replicas",
        "updatedReplicas",
        "availableReplicas",
        "readyReplicas",
    ] {
        check(
            &status(json!({field: 1})),
            &[],
            State::InProgress,
            "Progressing",
        );
    }
    check(
        &status(json!({"replicas": 3})),
        &[],
        State::InProgress,
        "Progressing",
    );
    let unavailable = conditions(&["Available=False", "Progressing=True:NewReplicaSetAvailable"]);
    check(
        &status(json!({"conditions": unavailable})),
        &[],
        State::InProgress,
        "Progressing",
    );
    let unfinished = json!({"conditions": conditions(&["Available=True", "Progressing=True:ReplicaSetUpdated"])});
    check(
        &status(unfinished.clone()),
        &[],
        State::InProgress,
        "Progressing",
    );
    let endless = json!({"spec": {"progressDeadlineSeconds": i32::MAX}, "status": unfinished});
    check(&deployment(endless), &[], State::Current, "");
}

#[test]
fn a_deployment_scaled_to_nothing_is_current_without_being_available() {
    let none = json!({"spec": {"replicas": 0}, "status": {"replicas": 0, "updatedReplicas": 0, "availableReplicas": 0,
        "readyReplicas": 0, "conditions": conditions(&["Progressing=True:NewReplicaSetAvailable"])}});
    check(&deployment(none), &[], State::Current, "");
}

#[test]
fn conditions_of_a_deployment_end_a_rollout() {
    check(
        &deployment(json!({"spec": {"paused": true}})),
        &[],
        State::Suspended,
        "Paused",
    );
    let late = conditions(&["Progressing=False:ProgressDeadlineExceeded"]);
    check(
        &status(json!({"conditions": late})),
        &[],
        State::Failed,
        "ProgressDeadlineExceeded",
    );
    let refused = |seconds| json!({"conditions": conditions_since(&["ReplicaFailure=True:FailedCreate"], seconds)});
    check(&status(refused(59)), &[], State::InProgress, "FailedCreate");
    check(&status(refused(60)), &[], State::Failed, "FailedCreate");
}

#[test]
fn only_pods_of_the_newest_replica_set_are_looked_at() {
    let rolling = status(json!({"updatedReplicas": 1,
        "conditions": conditions(&["Available=True", "Progressing=True:ReplicaSetUpdated"])}));
    let [new, old] = replica_sets();
    let broken = |set: &str| owned("Pod", "p", set, crashed(1, 1, "Error"));
    check(
        &rolling,
        &[new.clone(), old.clone(), broken("old")],
        State::InProgress,
        "Progressing",
    );
    check(
        &rolling,
        &[new, old, broken("new")],
        State::Failed,
        "CrashLoopBackOff",
    );
}

#[test]
fn a_revision_that_once_worked_may_crash_twice() {
    let [new, old] = replica_sets();
    let down = status(json!({"availableReplicas": 1, "readyReplicas": 1}));
    let around = |restarts| {
        [
            new.clone(),
            old.clone(),
            owned("Pod", "p", "new", crashed(restarts, 1, "Error")),
        ]
    };
    check(&down, &around(2), State::InProgress, "CrashLoopBackOff");
    check(&down, &around(3), State::Failed, "CrashLoopBackOff");
}

#[test]
fn pods_that_are_leaving_break_nothing() {
    let [new, old] = replica_sets();
    let mut leaving = crashed(5, 1, "Error");
    merge(
        &mut leaving,
        json!({"metadata": {"deletionTimestamp": ago(1)}}),
    );
    let down = status(json!({"availableReplicas": 1}));
    check(
        &down,
        &[new, old, owned("Pod", "p", "new", leaving)],
        State::InProgress,
        "Progressing",
    );
}

#[test]
fn a_tolerant_rollout_waits_for_its_deadline() {
    let rolling = status(json!({"updatedReplicas": 1}));
    let [new, old] = replica_sets();
    let pod = owned("Pod", "p", "new", crashed(9, 1, "Error"));
    let options = Options {
        tolerate_until_deadline: true,
        ..Options::default()
    };
    let context = Context {
        now: now(),
        since: now() - Duration::from_mins(1),
        applied: None,
        options: &options,
    };
    let health = assess(
        "x",
        Some(&rolling),
        Related {
            objects: &[&new, &old, &pod],
            listed: &[],
        },
        &context,
    );
    assert_eq!(
        (health.state, health.causes[0].reason.as_str()),
        (State::InProgress, "CrashLoopBackOff")
    );
}

#[test]
fn without_readiness_probe_a_pod_must_have_run_for_a_moment() {
    let unprobed =
        deployment(json!({"spec": {"template": {"spec": {"containers": [{"name": "app"}]}}}}));
    let [new, old] = replica_sets();
    let ready = |seconds| {
        let status = json!({"status": {"phase": "Running", "conditions": conditions_since(&["Ready=True"], seconds)}});
        owned("Pod", "p", "new", status)
    };
    check(
        &unprobed,
        &[new.clone(), old.clone(), ready(1)],
        State::InProgress,
        "Settling",
    );
    check(
        &unprobed,
        &[new.clone(), old.clone(), ready(2)],
        State::Current,
        "",
    );
    check(
        &deployment(json!({})),
        &[new, old, ready(0)],
        State::Current,
        "",
    );
}

#[test]
fn replica_sets_count_like_deployments_and_degrade_on_refusal() {
    let set = |extra: Value| {
        let mut made = json!({"metadata": {"generation": 1}, "spec": {"replicas": 2}, "status": {
            "observedGeneration": 1, "replicas": 2, "readyReplicas": 2, "availableReplicas": 2}});
        merge(&mut made, json!({ "status": extra }));
        object("apps/v1", "ReplicaSet", made)
    };
    check(&set(json!({})), &[], State::Current, "");
    for (field, count) in [
        ("replicas", 1),
        ("readyReplicas", 1),
        ("availableReplicas", 0),
        ("replicas", 3),
    ] {
        check(
            &set(json!({field: count})),
            &[],
            State::InProgress,
            "Progressing",
        );
    }
    check(
        &set(json!({"conditions": conditions(&["ReplicaFailure=True:FailedCreate"])})),
        &[],
        State::Degraded,
        "FailedCreate",
    );
}

fn stateful_set(extra: Value) -> Value {
    let mut made = json!({"metadata": {"generation": 1}, "spec": {"replicas": 3}, "status": {
        "observedGeneration": 1, "replicas": 3, "readyReplicas": 3, "availableReplicas": 3, "updatedReplicas": 3,
        "currentRevision": "b", "updateRevision": "b"}});
    merge(&mut made, extra);
    object("apps/v1", "StatefulSet", made)
}

#[test]
fn stateful_sets_need_every_replica_of_the_update_revision() {
    check(&stateful_set(json!({})), &[], State::Current, "");
    for (field, count) in [
        ("replicas", 2),
        ("readyReplicas", 2),
        ("availableReplicas", 2),
        ("replicas", 4),
        ("updatedReplicas", 2),
    ] {
        check(
            &stateful_set(json!({"status": {field: count}})),
            &[],
            State::InProgress,
            "Progressing",
        );
    }
    check(
        &stateful_set(json!({"status": {"currentRevision": "a"}})),
        &[],
        State::InProgress,
        "Progressing",
    );
}

#[test]
fn stateful_sets_updated_by_hand_or_in_part_are_current_with_a_note() {
    let by_hand = json!({"spec": {"updateStrategy": {"type": "OnDelete"}},
        "status": {"currentRevision": "a", "updatedReplicas": 1}});
    check(&stateful_set(by_hand), &[], State::Current, "OnDelete");
    let partial = |updated| {
        stateful_set(
            json!({"spec": {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}},
            "status": {"currentRevision": "a", "updatedReplicas": updated}}),
        )
    };
    check(&partial(1), &[], State::InProgress, "Progressing");
    check(&partial(2), &[], State::Current, "Partition");
}

#[test]
fn pods_of_the_update_revision_break_a_stateful_set() {
    let rolling = stateful_set(json!({"status": {"currentRevision": "a", "readyReplicas": 2}}));
    let broken = |revision: &str| {
        let mut extra = crashed(1, 1, "Error");
        merge(
            &mut extra,
            json!({"metadata": {"labels": {"controller-revision-hash": revision}}}),
        );
        owned("Pod", "p", "uid-x", extra)
    };
    check(&rolling, &[broken("b")], State::Failed, "CrashLoopBackOff");
    check(&rolling, &[broken("a")], State::InProgress, "Progressing");
}

#[test]
fn daemon_sets_need_a_pod_on_every_node() {
    let set = |extra: Value| {
        let mut made = json!({"metadata": {"generation": 1}, "status": {"observedGeneration": 1,
            "desiredNumberScheduled": 2, "currentNumberScheduled": 2, "updatedNumberScheduled": 2,
            "numberAvailable": 2, "numberReady": 2}});
        merge(&mut made, extra);
        object("apps/v1", "DaemonSet", made)
    };
    check(&set(json!({})), &[], State::Current, "");
    check(
        &set(json!({"status": {"desiredNumberScheduled": null}})),
        &[],
        State::InProgress,
        "Progressing",
    );
    for field in [
        "currentNumberScheduled",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberReady",
    ] {
        check(
            &set(json!({"status": {field: 1}})),
            &[],
            State::InProgress,
            "Progressing",
        );
    }
    check(
        &set(json!({"status": {"desiredNumberScheduled": 0}})),
        &[],
        State::Current,
        "NoNodes",
    );
    let by_hand = json!({"spec": {"updateStrategy": {"type": "OnDelete"}}, "status": {"updatedNumberScheduled": 0}});
    check(&set(by_hand), &[], State::Current, "");
    check(
        &set(json!({"status": {"numberMisscheduled": 1}})),
        &[],
        State::Current,
        "Misscheduled",
    );
    let broken = owned("Pod", "p", "uid-x", crashed(1, 1, "Error"));
    check(
        &set(json!({"status": {"numberReady": 1}})),
        &[broken],
        State::Failed,
        "CrashLoopBackOff",
    );
}
