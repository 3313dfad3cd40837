//! The rules of a kubelet, one case after the other.

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::*;
use crate::pod::state::{Finished, Trouble, Waiting};

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

const NOW: i64 = 1_000_000;

fn pod(spec: &Value) -> Pod {
    let metadata = json!({ "name": "web", "namespace": "shop", "uid": "u" });
    serde_json::from_value(json!({ "metadata": metadata, "spec": spec })).unwrap()
}

/// Main containers by these names.
fn plain(names: &[&str], policy: &str) -> Pod {
    let containers: Vec<Value> = names.iter().map(|name| json!({ "name": name })).collect();
    pod(&json!({ "containers": containers, "restartPolicy": policy }))
}

fn deleted(mut pod: Pod, grace: i64) -> Pod {
    pod.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
        second(NOW),
    ));
    pod.metadata.deletion_grace_period_seconds = Some(grace);
    pod
}

fn running() -> ContainerState {
    ContainerState {
        phase: Phase::Running {
            since: second(NOW - 5),
        },
        is_started: true,
        is_ready: true,
        ..ContainerState::default()
    }
}

fn ended(code: i32) -> ContainerState {
    let finished = Finished {
        code,
        reason: String::new(),
        message: None,
        started_at: second(NOW - 5),
        ended_at: second(NOW - 1),
        attempt: 0,
    };
    ContainerState {
        phase: Phase::Ended(finished),
        ..ContainerState::default()
    }
}

fn starting() -> ContainerState {
    ContainerState {
        phase: Phase::Starting,
        ..ContainerState::default()
    }
}

fn troubled(retry_at: i64) -> ContainerState {
    let trouble = Trouble {
        reason: "ErrImagePull".to_owned(),
        message: String::new(),
        at: second(NOW - 5),
        retry_at: second(retry_at),
    };
    ContainerState {
        phase: Phase::Waiting(Waiting {
            trouble: Some(trouble),
        }),
        ..ContainerState::default()
    }
}

fn known<const N: usize>(containers: [(&str, ContainerState); N]) -> PodState {
    PodState {
        accepted_at: Some(second(NOW - 100)),
        preparation: Preparation::Done,
        containers: containers
            .map(|(name, state)| (name.to_owned(), state))
            .into(),
        ..PodState::default()
    }
}

fn words(action: &Action) -> String {
    match action {
        Action::Prepare => "prepare".to_owned(),
        Action::Start { container } => format!("start {container}"),
        Action::Stop {
            container,
            deadline,
            ..
        } => {
            format!(
                "stop {container} within {}",
                deadline.duration_since(second(NOW)).as_secs()
            )
        }
        Action::Fail(failure) => format!("fail {}", failure.reason),
        Action::Remove => "remove".to_owned(),
    }
}

/// The one place that calls the decision; the tests below are only data. A
/// last word `wake N` says that it decides again N seconds from now.
#[track_caller]
fn check(pod: &Pod, state: &PodState, expected: &[&str]) {
    let decision = decide(pod, state, second(NOW));
    let mut seen: Vec<String> = decision.actions.iter().map(words).collect();
    seen.extend(
        decision
            .wake_at
            .map(|at| format!("wake {}", at.duration_since(second(NOW)).as_secs())),
    );
    assert_eq!(seen, expected);
    assert_eq!(
        decide(pod, state, second(NOW)),
        decision,
        "deciding changes nothing"
    );
}

#[test]
fn a_new_pod_is_prepared_before_anything_starts() {
    check(&plain(&["a"], "Always"), &PodState::default(), &["prepare"]);
    let mut state = known([]);
    state.preparation = Preparation::Running;
    check(&plain(&["a"], "Always"), &state, &[]);
    state.preparation = Preparation::Failed {
        at: second(NOW - 2),
    };
    check(&plain(&["a"], "Always"), &state, &["wake 3"]);
    state.preparation = Preparation::Failed {
        at: second(NOW - 5),
    };
    check(&plain(&["a"], "Always"), &state, &["prepare"]);
}

#[test]
fn main_containers_start_together() {
    check(
        &plain(&["a", "b"], "Always"),
        &known([]),
        &["start a", "start b"],
    );
    check(
        &plain(&["a", "b"], "Always"),
        &known([("a", starting()), ("b", running())]),
        &[],
    );
}

#[test]
fn init_containers_start_one_after_the_other() {
    let pod = pod(&json!({
        "initContainers": [{ "name": "one" }, { "name": "two" }],
        "containers": [{ "name": "main" }],
    }));
    check(&pod, &known([]), &["start one"]);
    check(&pod, &known([("one", running())]), &[]);
    check(&pod, &known([("one", ended(0))]), &["start two"]);
    check(
        &pod,
        &known([("one", ended(0)), ("two", ended(1))]),
        &["start two"],
    );
    check(
        &pod,
        &known([("one", ended(0)), ("two", ended(0))]),
        &["start main"],
    );
}

#[test]
fn an_init_container_that_failed_is_final_only_where_nothing_restarts() {
    let spec = json!({
        "restartPolicy": "Never",
        "initContainers": [{ "name": "one" }],
        "containers": [{ "name": "main" }],
    });
    check(&pod(&spec), &known([("one", ended(1))]), &[]);
}

#[test]
fn init_containers_do_not_run_again_when_a_main_container_restarts() {
    let pod = pod(&json!({
        "initContainers": [{ "name": "one" }],
        "containers": [{ "name": "main" }],
    }));
    // The record of the init container was lost; the main one has run.
    check(&pod, &known([("main", ended(1))]), &["start main"]);
}

#[test]
fn a_sidecar_starts_first_and_holds_back_the_others_until_it_is_up() {
    let pod = pod(&json!({
        "restartPolicy": "Never",
        "initContainers": [{ "name": "side", "restartPolicy": "Always" }, { "name": "init" }],
        "containers": [{ "name": "main" }],
    }));
    let not_up = ContainerState {
        is_started: false,
        ..running()
    };
    check(&pod, &known([]), &["start side"]);
    check(&pod, &known([("side", not_up)]), &[]);
    check(&pod, &known([("side", running())]), &["start init"]);
    check(
        &pod,
        &known([("side", running()), ("init", ended(0))]),
        &["start main"],
    );
    let all = [("side", ended(1)), ("init", ended(0)), ("main", running())];
    check(&pod, &known(all), &["start side"]);
    let over = [("side", running()), ("init", ended(0)), ("main", ended(0))];
    check(&pod, &known(over), &["stop side within 30"]);
}

#[test]
fn restart_policies_say_what_an_exit_means() {
    for (policy, code, expected) in [
        ("Always", 0, &["start a"][..]),
        ("Always", 1, &["start a"]),
        ("OnFailure", 0, &[]),
        ("OnFailure", 1, &["start a"]),
        ("Never", 0, &[]),
        ("Never", 1, &[]),
    ] {
        check(
            &plain(&["a"], policy),
            &known([("a", ended(code))]),
            expected,
        );
    }
}

#[test]
fn a_container_that_crashed_again_waits_its_turn() {
    let mut crashed = ended(1);
    crashed.crash.next(second(NOW - 8), second(NOW - 6));
    check(
        &plain(&["a"], "Always"),
        &known([("a", crashed)]),
        &["wake 9"],
    );
}

#[test]
fn what_could_not_be_created_is_tried_again_when_it_is_due() {
    check(
        &plain(&["a"], "Always"),
        &known([("a", troubled(NOW + 7))]),
        &["wake 7"],
    );
    check(
        &plain(&["a"], "Always"),
        &known([("a", troubled(NOW))]),
        &["start a"],
    );
}

#[test]
fn an_unhealthy_container_is_stopped_once_with_its_probes_own_grace() {
    let pod = pod(&json!({
        "containers": [{
            "name": "a",
            "livenessProbe": { "tcpSocket": { "port": 1 }, "terminationGracePeriodSeconds": 3 },
        }],
    }));
    let mut state = running();
    state.unhealthy = Some("it does not answer".to_owned());
    check(&pod, &known([("a", state.clone())]), &["stop a within 3"]);
    state.stopping = Some(second(NOW + 3));
    check(&pod, &known([("a", state)]), &[]);
}

#[test]
fn a_deleted_pod_is_stopped_and_removed_when_nothing_is_left() {
    let pod = deleted(plain(&["a", "b"], "Always"), 20);
    check(
        &pod,
        &known([("a", running()), ("b", running())]),
        &["stop a within 20", "stop b within 20"],
    );
    let mut stopping = running();
    stopping.stopping = Some(second(NOW + 20));
    check(&pod, &known([("a", stopping), ("b", ended(0))]), &[]);
    check(
        &pod,
        &known([("a", ended(0)), ("b", ended(0))]),
        &["remove"],
    );
    check(&pod, &known([]), &["remove"]);
}

#[test]
fn a_deleted_pod_waits_for_starts_that_are_under_way() {
    check(
        &deleted(plain(&["a"], "Always"), 20),
        &known([("a", starting())]),
        &[],
    );
}

#[test]
fn a_stop_under_way_can_be_made_to_end_sooner_but_not_later() {
    let mut stopping = running();
    stopping.stopping = Some(second(NOW + 20));
    let state = known([("a", stopping)]);
    check(
        &deleted(plain(&["a"], "Always"), 0),
        &state,
        &["stop a within 0"],
    );
    check(&deleted(plain(&["a"], "Always"), 60), &state, &[]);
}

#[test]
fn sidecars_are_stopped_after_the_main_containers() {
    let pod = deleted(
        pod(&json!({
            "initContainers": [{ "name": "side", "restartPolicy": "Always" }],
            "containers": [{ "name": "main" }],
        })),
        20,
    );
    let main_first = [("side", running()), ("main", running())];
    check(&pod, &known(main_first), &["stop main within 20"]);
    check(
        &pod,
        &known([("side", running()), ("main", ended(0))]),
        &["stop side within 20"],
    );
}

#[test]
fn a_pod_past_its_deadline_fails_and_is_stopped() {
    let spec =
        |limit: i64| json!({ "activeDeadlineSeconds": limit, "containers": [{ "name": "a" }] });
    let state = known([("a", running())]);
    check(&pod(&spec(130)), &state, &["wake 30"]);
    check(&pod(&spec(100)), &state, &["fail DeadlineExceeded"]);
    let mut failed = state;
    failed.failure = Some(Failure {
        reason: "DeadlineExceeded".to_owned(),
        message: String::new(),
    });
    check(&pod(&spec(100)), &failed, &["stop a within 30"]);
}

#[test]
fn a_pod_that_is_over_is_left_alone_until_it_is_deleted() {
    let mut state = known([]);
    state.is_over = true;
    check(&plain(&["a"], "Always"), &state, &[]);
    check(&deleted(plain(&["a"], "Always"), 0), &state, &["remove"]);
}
