//! What the API is told, case by case.

use serde_json::{Value, json};

use super::*;
use crate::pod::state::{Failure, Preparation, Trouble, Waiting};

const NOW: i64 = 1_000_000;

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn pod(policy: &str) -> Pod {
    serde_json::from_value(json!({
        "metadata": { "name": "web", "namespace": "shop", "uid": "u" },
        "spec": { "restartPolicy": policy, "containers": [{ "name": "main", "image": "web:1" }] },
    }))
    .unwrap()
}

fn place() -> Place {
    Place {
        pod_address: Some("10.244.0.2".to_owned()),
        node_address: "10.244.0.1".to_owned(),
    }
}

fn with(container: ContainerState) -> PodState {
    PodState {
        accepted_at: Some(second(NOW - 100)),
        preparation: Preparation::Done,
        containers: [("main".to_owned(), container)].into(),
        ..PodState::default()
    }
}

fn finished(code: i32, attempt: u32) -> Finished {
    Finished {
        code,
        reason: if code == 0 { "Completed" } else { "Error" }.to_owned(),
        message: None,
        started_at: second(NOW - 9),
        ended_at: second(NOW - 1),
        attempt,
    }
}

fn in_phase(phase: Phase) -> ContainerState {
    ContainerState {
        phase,
        ..ContainerState::default()
    }
}

fn running() -> ContainerState {
    ContainerState {
        is_started: true,
        is_ready: true,
        ..in_phase(Phase::Running {
            since: second(NOW - 5),
        })
    }
}

/// Phase, the container's state, the state before, Ready: the way `kubectl
/// get` and `describe` show a pod.
#[track_caller]
fn check(pod: &Pod, state: &PodState, expected: [&str; 4]) {
    let status = status(pod, state, &place(), None, second(NOW));
    let container = &status.container_statuses.as_ref().unwrap()[0];
    let words = |state: Option<&ApiState>| {
        let Some(state) = state else {
            return "none".to_owned();
        };
        if let Some(waiting) = &state.waiting {
            waiting.reason.clone().unwrap_or_default()
        } else if let Some(terminated) = &state.terminated {
            format!(
                "{} {}",
                terminated.reason.as_deref().unwrap_or_default(),
                terminated.exit_code
            )
        } else if state.running.is_some() {
            "running".to_owned()
        } else {
            "none".to_owned()
        }
    };
    let ready = status
        .conditions
        .as_ref()
        .unwrap()
        .iter()
        .find(|one| one.type_ == "Ready")
        .unwrap();
    let seen = [
        status.phase.clone().unwrap(),
        words(container.state.as_ref()),
        words(container.last_state.as_ref()),
        format!(
            "{} {}",
            ready.status,
            ready.reason.as_deref().unwrap_or_default()
        )
        .trim()
        .to_owned(),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_new_pod_is_pending_and_creates_its_container() {
    let expected = [
        "Pending",
        "ContainerCreating",
        "none",
        "False ContainersNotReady",
    ];
    check(&pod("Always"), &with(ContainerState::default()), expected);
    check(&pod("Always"), &with(in_phase(Phase::Starting)), expected);
}

#[test]
fn a_running_pod_is_ready_when_its_containers_are() {
    check(
        &pod("Always"),
        &with(running()),
        ["Running", "running", "none", "True"],
    );
    let unready = ContainerState {
        is_ready: false,
        ..running()
    };
    let expected = ["Running", "running", "none", "False ContainersNotReady"];
    check(&pod("Always"), &with(unready), expected);
    let unstarted = ContainerState {
        is_started: false,
        ..running()
    };
    check(&pod("Always"), &with(unstarted), expected);
}

#[test]
fn a_pod_that_ended_says_how() {
    let good = with(in_phase(Phase::Ended(finished(0, 0))));
    let bad = with(in_phase(Phase::Ended(finished(4, 0))));
    check(
        &pod("Never"),
        &good,
        ["Succeeded", "Completed 0", "none", "False PodCompleted"],
    );
    check(
        &pod("OnFailure"),
        &good,
        ["Succeeded", "Completed 0", "none", "False PodCompleted"],
    );
    check(
        &pod("Never"),
        &bad,
        ["Failed", "Error 4", "none", "False PodFailed"],
    );
    check(
        &pod("Always"),
        &bad,
        ["Running", "Error 4", "none", "False ContainersNotReady"],
    );
}

#[test]
fn a_container_in_back_off_shows_the_crash_behind_it() {
    let mut state = in_phase(Phase::Ended(finished(4, 1)));
    state.crash.next(second(NOW - 20), second(NOW - 9));
    let expected = [
        "Running",
        "CrashLoopBackOff",
        "Error 4",
        "False ContainersNotReady",
    ];
    check(&pod("Always"), &with(state.clone()), expected);
    let told = status(&pod("Always"), &with(state), &place(), None, second(NOW));
    let waiting = told
        .container_statuses
        .unwrap()
        .remove(0)
        .state
        .unwrap()
        .waiting
        .unwrap();
    assert_eq!(
        waiting.message.unwrap(),
        "back-off 10s restarting failed container=main pod=web_shop(u)"
    );
}

#[test]
fn while_a_restart_is_made_ready_the_crash_stays_in_sight_and_uncounted() {
    let mut state = in_phase(Phase::Starting);
    state.last = Some(finished(4, 0));
    state.restarts = 1;
    check(
        &pod("Always"),
        &with(state.clone()),
        ["Running", "Error 4", "none", "False ContainersNotReady"],
    );
    let told = status(&pod("Always"), &with(state), &place(), None, second(NOW));
    assert_eq!(told.container_statuses.unwrap()[0].restart_count, 0);
}

#[test]
fn a_pull_error_turns_into_back_off_and_keeps_its_reason_in_words() {
    let at = |failed: i64| {
        let trouble = Trouble {
            reason: "ErrImagePull".to_owned(),
            message: "no such host".to_owned(),
            at: second(failed),
            retry_at: second(NOW + 10),
        };
        with(in_phase(Phase::Waiting(Waiting {
            trouble: Some(trouble),
        })))
    };
    let expected = |reason| ["Pending", reason, "none", "False ContainersNotReady"];
    check(&pod("Always"), &at(NOW - 1), expected("ErrImagePull"));
    assert_eq!(
        changes_at(&pod("Always"), &at(NOW - 1), second(NOW)),
        Some(second(NOW + 1))
    );
    check(&pod("Always"), &at(NOW - 2), expected("ImagePullBackOff"));
    let told = status(&pod("Always"), &at(NOW - 2), &place(), None, second(NOW));
    let waiting = told
        .container_statuses
        .unwrap()
        .remove(0)
        .state
        .unwrap()
        .waiting
        .unwrap();
    assert_eq!(
        waiting.message.unwrap(),
        "Back-off pulling image \"web:1\": ErrImagePull: no such host"
    );
}

#[test]
fn a_pod_ended_by_the_node_fails_with_the_nodes_reason() {
    let mut state = with(in_phase(Phase::Ended(finished(143, 0))));
    state.failure = Some(Failure {
        reason: "DeadlineExceeded".to_owned(),
        message: "too long".to_owned(),
    });
    check(
        &pod("Always"),
        &state,
        ["Failed", "Error 143", "none", "False PodFailed"],
    );
    let told = status(&pod("Always"), &state, &place(), None, second(NOW));
    assert_eq!(told.reason.as_deref(), Some("DeadlineExceeded"));
}

#[test]
fn conditions_remember_since_when_they_are_so() {
    let first = status(
        &pod("Always"),
        &with(running()),
        &place(),
        None,
        second(NOW),
    );
    let later = status(
        &pod("Always"),
        &with(running()),
        &place(),
        Some(&first),
        second(NOW + 60),
    );
    assert_eq!(first.conditions, later.conditions);
    let unready = ContainerState {
        is_ready: false,
        ..running()
    };
    let changed = status(
        &pod("Always"),
        &with(unready),
        &place(),
        Some(&first),
        second(NOW + 60),
    );
    let since = |status: &PodStatus, kind: &str| {
        let all = status.conditions.as_ref().unwrap();
        all.iter()
            .find(|one| one.type_ == kind)
            .unwrap()
            .last_transition_time
            .clone()
            .unwrap()
            .0
    };
    assert_eq!(since(&changed, "Ready"), second(NOW + 60));
    assert_eq!(since(&changed, "Initialized"), second(NOW));
}

#[test]
fn a_closed_readiness_gate_keeps_a_pod_from_being_ready() {
    let mut pod = pod("Always");
    pod.spec.as_mut().unwrap().readiness_gates =
        serde_json::from_value(json!([{ "conditionType": "in-rotation" }])).unwrap();
    check(
        &pod,
        &with(running()),
        ["Running", "running", "none", "False ReadinessGatesNotReady"],
    );
    let open: Value = json!({ "conditions": [{ "type": "in-rotation", "status": "True" }] });
    pod.status = serde_json::from_value(open).unwrap();
    check(
        &pod,
        &with(running()),
        ["Running", "running", "none", "True"],
    );
}

#[test]
fn a_pod_waits_for_its_init_containers_and_says_for_which() {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": { "name": "web" },
        "spec": { "initContainers": [{ "name": "one" }], "containers": [{ "name": "main" }] },
    }))
    .unwrap();
    let mut state = with(ContainerState::default());
    state.containers.insert("one".to_owned(), running());
    check(
        &pod,
        &state,
        [
            "Pending",
            "PodInitializing",
            "none",
            "False ContainersNotReady",
        ],
    );
    let told = status(&pod, &state, &place(), None, second(NOW));
    let all = told.conditions.unwrap();
    let initialized = all.iter().find(|one| one.type_ == "Initialized").unwrap();
    assert_eq!(initialized.status, "False");
    assert_eq!(
        initialized.message.as_deref(),
        Some("containers with incomplete status: [one]")
    );
}
