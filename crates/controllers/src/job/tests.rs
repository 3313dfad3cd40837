//! How Jobs run and end, in a simulated world.

use jiff::SignedDuration;
use k8s_openapi::api::batch::v1::{Job, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::simulation::{Weather, World};

/// A Job whose pods end like this; `runs` pods never end.
fn job(ends: &str, extra: &Value) -> Value {
    let mut annotations = json!({});
    if ends != "runs" {
        annotations["simulate/ends"] = json!(ends);
    }
    let mut job = json!({
        "metadata": {"name": "sum"},
        "spec": {
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 2,
            "selector": {"matchLabels": {"job": "sum"}},
            "template": {
                "metadata": {"labels": {"job": "sum"}, "annotations": annotations},
                "spec": {"restartPolicy": "Never", "containers": [{"name": "sum", "image": "sum:1"}]},
            },
        },
    });
    for (key, value) in extra.as_object().unwrap() {
        job["spec"][key] = value.clone();
    }
    job
}

fn run(object: &Value) -> World {
    let mut world = World::new(Weather::Calm, 3);
    world.put("Job", object.clone());
    settle(&mut world);
    world
}

/// Waits out the pauses after failures, too.
fn settle(world: &mut World) {
    for _ in 0..4 {
        world.settle(|world| {
            for job in world.all::<Job>("Job") {
                let status = job.status.unwrap_or_default();
                let count = |number: Option<i32>| number.unwrap_or(0);
                assert!(count(status.active) >= 0 && count(status.failed) >= 0);
            }
        });
        world.now += SignedDuration::from_mins(1);
    }
}

fn status(world: &World) -> JobStatus {
    world.all::<Job>("Job")[0]
        .status
        .clone()
        .unwrap_or_default()
}

/// The true conditions, in order, with their reasons.
fn conditions(world: &World) -> Vec<String> {
    let conditions = status(world).conditions.unwrap_or_default();
    conditions
        .into_iter()
        .filter(|condition| condition.status == "True")
        .map(|condition| {
            format!(
                "{} {}",
                condition.type_,
                condition.reason.unwrap_or_default()
            )
        })
        .collect()
}

/// Succeeded, failed, active.
fn numbers(world: &World) -> [i32; 3] {
    let status = status(world);
    [status.succeeded, status.failed, status.active].map(|number| number.unwrap_or(0))
}

#[test]
fn a_job_completes_when_enough_pods_succeeded() {
    let world = run(&job(
        "Succeeded",
        &json!({"completions": 5, "parallelism": 2}),
    ));
    assert_eq!(numbers(&world), [5, 0, 0]);
    assert_eq!(
        conditions(&world),
        [
            "SuccessCriteriaMet CompletionsReached",
            "Complete CompletionsReached"
        ]
    );
    assert!(status(&world).completion_time.is_some());
    assert!(world.told.contains(&"Completed: Job completed".to_owned()));
    let pods = world.all::<Pod>("Pod");
    assert_eq!(pods.len(), 5);
    assert!(pods.iter().all(|pod| pod.metadata.finalizers.is_none()));
}

#[test]
fn a_job_fails_after_its_backoff_limit() {
    let world = run(&job("Failed", &json!({})));
    assert_eq!(numbers(&world), [0, 3, 0]);
    assert_eq!(
        conditions(&world),
        [
            "FailureTarget BackoffLimitExceeded",
            "Failed BackoffLimitExceeded"
        ]
    );
    let told = "BackoffLimitExceeded: Job has reached the specified backoff limit".to_owned();
    assert!(world.told.contains(&told), "{:?}", world.told);
}

#[test]
fn a_failure_is_followed_by_a_pause() {
    let mut world = World::new(Weather::Calm, 3);
    world.put("Job", job("runs", &json!({})));
    world.settle(|_| ());
    let first = world.names("Pod").remove(0);
    let ended = json!({"phase": "Failed", "conditions": [
        {"type": "Ready", "status": "False", "lastTransitionTime": (world.now + SignedDuration::from_hours(1)).to_string()},
    ]});
    world.set_status("Pod", &first, ended);
    world.settle(|_| ());
    assert_eq!(world.names("Pod"), [first]);
    world.after(SignedDuration::from_hours(2));
    assert_eq!(world.names("Pod").len(), 2);
}

#[test]
fn every_index_runs_once_and_its_pod_knows_it() {
    let indexed = json!({"completions": 4, "parallelism": 3, "completionMode": "Indexed"});
    let world = run(&job("Succeeded", &indexed));
    assert_eq!(status(&world).completed_indexes.as_deref(), Some("0-3"));
    assert_eq!(numbers(&world), [4, 0, 0]);
    let mut hostnames: Vec<_> = world
        .all::<Pod>("Pod")
        .into_iter()
        .map(|pod| {
            let spec = pod.spec.unwrap();
            assert_eq!(
                spec.containers[0].env.as_ref().unwrap()[0].name,
                "JOB_COMPLETION_INDEX"
            );
            spec.hostname.unwrap()
        })
        .collect();
    hostnames.sort();
    assert_eq!(hostnames, ["sum-0", "sum-1", "sum-2", "sum-3"]);
}

#[test]
fn a_success_policy_ends_the_job_before_all_indexes_are_done() {
    let some = json!({
        "completions": 4, "parallelism": 1, "completionMode": "Indexed",
        "successPolicy": {"rules": [{"succeededIndexes": "0,1", "succeededCount": 2}]},
    });
    let world = run(&job("Succeeded", &some));
    assert_eq!(
        conditions(&world),
        ["SuccessCriteriaMet SuccessPolicy", "Complete SuccessPolicy"]
    );
    assert!(numbers(&world)[0] < 4);
}

#[test]
fn a_job_that_runs_too_long_is_ended() {
    let mut world = World::new(Weather::Calm, 3);
    world.put(
        "Job",
        job("runs", &json!({"activeDeadlineSeconds": 86_400})),
    );
    world.settle(|_| ());
    assert_eq!(numbers(&world), [0, 0, 1]);
    world.after(SignedDuration::from_hours(24));
    assert_eq!(
        conditions(&world),
        ["FailureTarget DeadlineExceeded", "Failed DeadlineExceeded"]
    );
    assert_eq!(numbers(&world), [0, 1, 0]);
    assert_eq!(world.names("Pod"), [""; 0]);
}

#[test]
fn a_suspended_job_has_no_pods_and_goes_on_later() {
    let mut world = World::new(Weather::Calm, 3);
    world.put(
        "Job",
        job("runs", &json!({"parallelism": 2, "completions": 2})),
    );
    world.settle(|_| ());
    assert_eq!(numbers(&world), [0, 0, 2]);
    let suspended = json!({"parallelism": 2, "completions": 2, "suspend": true});
    world.put("Job", job("runs", &suspended));
    world.settle(|_| ());
    assert_eq!(conditions(&world), ["Suspended JobSuspended"]);
    assert_eq!(numbers(&world), [0, 0, 0]);
    assert_eq!(world.names("Pod"), [""; 0]);
    world.put(
        "Job",
        job("runs", &json!({"parallelism": 2, "completions": 2})),
    );
    world.settle(|_| ());
    assert_eq!(numbers(&world), [0, 0, 2]);
    assert_eq!(conditions(&world), [""; 0]);
}

#[test]
fn less_parallelism_ends_pods_without_counting_them() {
    let mut world = World::new(Weather::Calm, 3);
    world.put(
        "Job",
        job("runs", &json!({"parallelism": 4, "completions": 9})),
    );
    world.settle(|_| ());
    world.put(
        "Job",
        job("runs", &json!({"parallelism": 1, "completions": 9})),
    );
    world.settle(|_| ());
    assert_eq!(numbers(&world), [0, 0, 1]);
}

#[test]
fn an_ended_job_goes_after_its_time_to_live() {
    let mut world = run(&job(
        "Succeeded",
        &json!({"ttlSecondsAfterFinished": 86_400}),
    ));
    assert_eq!(world.names("Job"), ["sum"]);
    world.after(SignedDuration::from_hours(24));
    assert_eq!(world.names("Job"), [""; 0]);
}

fn exit_with(world: &mut World, code: i32) {
    let pod = world.names("Pod").pop().unwrap();
    let terminated = json!({"terminated": {"exitCode": code}});
    let status = json!({"phase": "Failed", "containerStatuses": [{
        "name": "sum", "image": "sum:1", "imageID": "", "ready": false, "restartCount": 0, "state": terminated,
    }]});
    world.set_status("Pod", &pod, status);
    settle(world);
}

#[test]
fn a_failure_policy_ignores_some_failures_and_gives_up_on_others() {
    let rules = json!({"rules": [
        {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [3]}},
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}},
    ]});
    let spec = json!({"podFailurePolicy": rules, "podReplacementPolicy": "Failed"});
    let mut world = run(&job("runs", &spec));
    exit_with(&mut world, 3);
    assert_eq!(numbers(&world), [0, 0, 1]);
    exit_with(&mut world, 42);
    assert_eq!(
        conditions(&world),
        ["FailureTarget PodFailurePolicy", "Failed PodFailurePolicy"]
    );
    let pod = world.names("Pod").pop().unwrap();
    let condition = status(&world).conditions.unwrap().pop().unwrap();
    let expected = format!(
        "Container sum for pod dev/{pod} failed with exit code 42 matching FailJob rule at index 1"
    );
    assert_eq!(condition.message, Some(expected));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(8) })]

    #[test]
    fn rough_weather_ends_where_calm_weather_ends(
        seed: u64,
        completions in 1..8_i32,
        parallelism in 1..5_i32,
        indexed: bool,
        fails in prop::bool::weighted(0.2),
    ) {
        let mode = if indexed { "Indexed" } else { "NonIndexed" };
        let extra = json!({
            "completions": completions, "parallelism": parallelism, "completionMode": mode, "backoffLimit": 0,
        });
        let run = |weather| {
            let mut world = World::new(weather, seed);
            world.put("Job", job(if fails { "Failed" } else { "Succeeded" }, &extra));
            settle(&mut world);
            (conditions(&world), numbers(&world)[0], status(&world).completed_indexes)
        };
        prop_assert_eq!(run(Weather::Rough), run(Weather::Calm));
    }
}
