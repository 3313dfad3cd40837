//! Pods and the fatal table.

use serde_json::{Value, json};

use super::{ago, answer, check, conditions, conditions_since, merge, object};
use crate::{Cause, State};

fn pod(phase: &str, extra: Value) -> Value {
    let mut made = json!({
        "metadata": {"creationTimestamp": ago(5)},
        "spec": {"restartPolicy": "Always"},
        "status": {"phase": phase},
    });
    merge(&mut made, extra);
    object("v1", "Pod", made)
}

fn waiting(reason: &str, message: &str, age: u64) -> Value {
    let state = json!({"waiting": {"reason": reason, "message": message}});
    pod(
        "Pending",
        json!({"metadata": {"creationTimestamp": ago(age)},
            "status": {"containerStatuses": [{"name": "app", "restartCount": 0, "state": state}]}}),
    )
}

pub(crate) fn crashed(restarts: u32, code: i32, reason: &str) -> Value {
    json!({"status": {"phase": "Running", "containerStatuses": [{
        "name": "app", "restartCount": restarts, "ready": false,
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
        "lastState": {"terminated": {"exitCode": code, "reason": reason}}}]}})
}

#[test]
fn phases_decide_first() {
    check(&pod("Succeeded", json!({})), &[], State::Current, "");
    check(
        &pod("Failed", json!({"status": {"reason": "Evicted"}})),
        &[],
        State::Failed,
        "Evicted",
    );
    check(
        &pod("Pending", json!({})),
        &[],
        State::InProgress,
        "Pending",
    );
    check(
        &pod("Unknown", json!({})),
        &[],
        State::Unknown,
        "UnknownPhase",
    );
    check(
        &pod("Running", json!({})),
        &[],
        State::InProgress,
        "NotReady",
    );
    check(
        &pod(
            "Running",
            json!({"status": {"conditions": conditions(&["Ready=True"])}}),
        ),
        &[],
        State::Current,
        "",
    );
}

#[test]
fn a_pod_that_shall_end_is_in_progress_while_it_runs() {
    let ready = json!({"spec": {"restartPolicy": "Never"}, "status": {"conditions": conditions(&["Ready=True"])}});
    check(
        &pod("Running", ready.clone()),
        &[],
        State::InProgress,
        "Running",
    );
    let mut long = ready;
    merge(
        &mut long,
        json!({"metadata": {"annotations": {"foreshore.local/long-running": "true"}}}),
    );
    check(&pod("Running", long), &[], State::Current, "");
}

#[test]
fn a_failed_pod_names_the_container_that_ended() {
    let ended = json!({"status": {"containerStatuses": [
        {"name": "side", "state": {"terminated": {"exitCode": 0}}},
        {"name": "app", "state": {"terminated": {"exitCode": 3}}}]}});
    let cause = answer(&pod("Failed", ended), &[], 1).causes.remove(0);
    assert_eq!(
        (cause.container.as_deref(), cause.exit_code),
        (Some("app"), Some(3))
    );
}

#[test]
fn containers_that_cannot_be_made_fail_at_once() {
    for reason in [
        "InvalidImageName",
        "CreateContainerError",
        "RunContainerError",
    ] {
        check(&waiting(reason, "", 1), &[], State::Failed, reason);
    }
    check(
        &waiting("CreateContainerConfigError", "", 29),
        &[],
        State::InProgress,
        "CreateContainerConfigError",
    );
    check(
        &waiting("CreateContainerConfigError", "", 30),
        &[],
        State::Failed,
        "CreateContainerConfigError",
    );
    check(
        &waiting("ContainerCreating", "", 300),
        &[],
        State::InProgress,
        "Pending",
    );
}

#[test]
fn pulls_may_fail_for_a_while_unless_the_image_does_not_exist() {
    for reason in ["ErrImagePull", "ImagePullBackOff"] {
        check(
            &waiting(reason, "connection refused", 89),
            &[],
            State::InProgress,
            reason,
        );
        check(
            &waiting(reason, "connection refused", 90),
            &[],
            State::Failed,
            reason,
        );
        check(
            &waiting(reason, "manifest unknown", 1),
            &[],
            State::Failed,
            reason,
        );
        check(
            &waiting(reason, "x@sha256:0: Not Found", 1),
            &[],
            State::Failed,
            reason,
        );
    }
}

#[test]
fn a_crash_loop_of_a_new_pod_fails_after_the_first_restart() {
    check(
        &pod("Running", crashed(0, 1, "Error")),
        &[],
        State::InProgress,
        "CrashLoopBackOff",
    );
    check(
        &pod("Running", crashed(1, 1, "Error")),
        &[],
        State::Failed,
        "CrashLoopBackOff",
    );
    check(
        &pod("Running", crashed(1, 0, "Completed")),
        &[],
        State::InProgress,
        "CrashLoopBackOff",
    );
    check(
        &pod("Running", crashed(3, 0, "Completed")),
        &[],
        State::Failed,
        "CrashLoopBackOff",
    );
    let cause = answer(&pod("Running", crashed(1, 42, "Error")), &[], 1)
        .causes
        .remove(0);
    let expected = Cause {
        object: "Pod/x".to_owned(),
        container: Some("app".to_owned()),
        reason: "CrashLoopBackOff".to_owned(),
        message: "the container ended with exit code 42 and was restarted once".to_owned(),
        exit_code: Some(42),
        log: Vec::new(),
    };
    assert_eq!(cause, expected);
}

#[test]
fn running_out_of_memory_twice_is_fatal() {
    let status = |restarts: u32| {
        pod(
            "Running",
            json!({"status": {"containerStatuses": [{"name": "app", "ready": false, "restartCount": restarts,
            "state": {"running": {}}, "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}]}}),
        )
    };
    check(&status(1), &[], State::InProgress, "NotReady");
    check(&status(2), &[], State::Failed, "OOMKilled");
}

#[test]
fn a_container_that_just_ended_is_a_stall_with_its_code() {
    let ended = json!({"status": {"containerStatuses": [{"name": "app", "restartCount": 0,
        "state": {"terminated": {"exitCode": 2, "reason": "Error"}}}]}});
    let health = answer(&pod("Running", ended), &[], 1);
    assert_eq!(
        (health.state, health.causes[0].exit_code),
        (State::InProgress, Some(2))
    );
}

#[test]
fn init_containers_count() {
    let hanging = json!({"status": {"initContainerStatuses": [{"name": "wait", "restartCount": 0,
        "state": {"waiting": {"reason": "RunContainerError", "message": "no such file"}}}]}});
    let health = answer(&pod("Pending", hanging), &[], 1);
    assert_eq!(
        (health.state, health.causes[0].container.as_deref()),
        (State::Failed, Some("wait"))
    );
}

#[test]
fn no_fitting_node_is_a_stall_for_five_minutes() {
    let status = |seconds| {
        let conditions = conditions_since(&["PodScheduled=False:Unschedulable"], seconds);
        pod("Pending", json!({"status": {"conditions": conditions}}))
    };
    check(&status(299), &[], State::InProgress, "Unschedulable");
    check(&status(300), &[], State::Failed, "Unschedulable");
}
