//! What is started when, with each policy, and what is kept.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use serde_json::{Value, json};

use super::{Inputs, decide};
use crate::change::Change;

const NOW: &str = "2026-01-01T10:00:30Z";

fn cron_job(extra: &Value) -> CronJob {
    let mut object = json!({
        "metadata": {
            "name": "report", "namespace": "dev", "uid": "cron", "resourceVersion": "1",
            "creationTimestamp": "2026-01-01T09:57:00Z",
        },
        "spec": {
            "schedule": "*/5 * * * *",
            "jobTemplate": {
                "metadata": {"labels": {"app": "report"}},
                "spec": {"template": {"spec": {"containers": [{"name": "main"}]}}},
            },
        },
    });
    for part in ["spec", "status", "metadata"] {
        for (key, value) in extra[part].as_object().into_iter().flatten() {
            object[part][key] = value.clone();
        }
    }
    serde_json::from_value(object).unwrap()
}

/// A Job of the minute (counted from the epoch) that ended like this, or runs.
fn job(name: &str, ending: &str, started: &str) -> Arc<Job> {
    let mut job = json!({
        "metadata": {
            "name": name, "namespace": "dev", "uid": name,
            "ownerReferences": [
                {"apiVersion": "batch/v1", "kind": "CronJob", "name": "report", "uid": "cron", "controller": true},
            ],
        },
        "status": {"startTime": started},
    });
    if !ending.is_empty() {
        job["status"]["conditions"] = json!([{"type": ending, "status": "True"}]);
        job["status"]["completionTime"] = json!(started);
    }
    Arc::new(serde_json::from_value(job).unwrap())
}

fn active(name: &str) -> Value {
    json!([{"apiVersion": "batch/v1", "kind": "Job", "name": name, "namespace": "dev", "uid": name}])
}

fn describe(change: Change) -> Option<String> {
    Some(match change {
        Change::Create { body, .. } => format!("create {}", body["metadata"]["name"].as_str()?),
        Change::Delete { target, .. } => format!("delete {}", target.name),
        Change::Patch { body, .. } => format!("status {}", body["status"]),
        Change::Event { reason, .. } => format!("tell {reason}"),
        Change::Requeue { .. } => return None,
        other => panic!("not expected here: {other:?}"),
    })
}

fn run(cron_job: &CronJob, jobs: &[Arc<Job>]) -> Vec<Change> {
    let inputs = Inputs {
        cron_job,
        jobs,
        time_zone: Ok(&TimeZone::UTC),
    };
    decide(&inputs, NOW.parse().unwrap())
}

#[track_caller]
fn check(extra: &Value, jobs: &[Arc<Job>], expected: &[&str]) {
    let changes = run(&cron_job(extra), jobs);
    let found: Vec<_> = changes.into_iter().filter_map(describe).collect();
    assert_eq!(found, expected);
}

const DUE: &str = "report-29454360";
const SERVED: &str = r#"status {"lastScheduleTime":"2026-01-01T10:00:00Z"}"#;

#[test]
fn the_latest_time_gets_a_job_named_after_it_and_the_next_is_waited_for() {
    let changes = run(&cron_job(&json!({})), &[]);
    let body = changes.iter().find_map(|change| match change {
        Change::Create { body, .. } => Some(body),
        _ => None,
    });
    let meta = &body.unwrap()["metadata"];
    assert_eq!(meta["name"], DUE);
    assert_eq!(meta["labels"]["app"], "report");
    let scheduled = "batch.kubernetes.io/cronjob-scheduled-timestamp";
    assert_eq!(meta["annotations"][scheduled], "2026-01-01T10:00:00Z");
    let wait = changes.iter().find_map(|change| match change {
        Change::Requeue { after } => Some(after.as_secs()),
        _ => None,
    });
    assert_eq!(wait, Some(270));
    check(&json!({}), &[], &[&format!("create {DUE}"), SERVED]);
}

#[test]
fn what_was_served_is_not_started_again() {
    let served = json!({"status": {"lastScheduleTime": "2026-01-01T10:00:00Z"}});
    check(&served, &[], &[]);
    // The Job was made, then the controller died.
    let own = job(DUE, "Complete", "2026-01-01T10:00:01Z");
    let expected = r#"status {"lastScheduleTime":"2026-01-01T10:00:00Z","lastSuccessfulTime":"2026-01-01T10:00:01Z"}"#;
    check(&json!({}), &[own], &[expected]);
}

#[test]
fn a_suspended_one_starts_nothing() {
    check(&json!({"spec": {"suspend": true}}), &[], &[]);
}

#[test]
fn what_is_too_late_is_told_and_left_out() {
    let late = json!({"spec": {"startingDeadlineSeconds": 20}});
    check(&late, &[], &[]);
    let hourly = json!({"spec": {"startingDeadlineSeconds": 40}});
    check(&hourly, &[], &[&format!("create {DUE}"), SERVED]);
}

#[test]
fn each_policy_treats_a_running_job_its_own_way() {
    let before = |policy: &str| {
        json!({
            "spec": {"concurrencyPolicy": policy},
            "status": {"active": active("report-1"), "lastScheduleTime": "2026-01-01T09:55:00Z"},
        })
    };
    let running = [job("report-1", "", "2026-01-01T09:55:00Z")];
    let create = format!("create {DUE}");
    check(&before("Allow"), &running, &[&create, SERVED]);
    check(&before("Forbid"), &running, &["tell JobAlreadyActive"]);
    let replaced = r#"status {"active":null,"lastScheduleTime":"2026-01-01T10:00:00Z"}"#;
    check(
        &before("Replace"),
        &running,
        &["delete report-1", &create, replaced],
    );
}

#[test]
fn ended_jobs_are_told_once_and_kept_up_to_the_limits() {
    let before = json!({
        "spec": {"successfulJobsHistoryLimit": 1, "failedJobsHistoryLimit": 0},
        "status": {"active": active("report-3"), "lastScheduleTime": "2026-01-01T10:00:00Z"},
    });
    let jobs = [
        job("report-1", "Complete", "2026-01-01T08:00:00Z"),
        job("report-2", "Failed", "2026-01-01T08:05:00Z"),
        job("report-3", "Complete", "2026-01-01T08:10:00Z"),
    ];
    check(
        &before,
        &jobs,
        &[
            "delete report-1",
            "delete report-2",
            "tell SawCompletedJob",
            r#"status {"active":null,"lastSuccessfulTime":"2026-01-01T08:10:00Z"}"#,
        ],
    );
}

#[test]
fn a_running_job_is_listed_and_a_lost_one_dropped() {
    let served = json!({"status": {"active": active("report-1"), "lastScheduleTime": "2026-01-01T10:00:00Z"}});
    check(
        &served,
        &[],
        &["tell MissingJob", r#"status {"active":null}"#],
    );
    let running = [job("report-2", "", "2026-01-01T10:00:00Z")];
    let changes = run(
        &cron_job(&json!({"status": {"lastScheduleTime": "2026-01-01T10:00:00Z"}})),
        &running,
    );
    let body = changes.iter().find_map(|change| match change {
        Change::Patch { body, .. } => Some(body),
        _ => None,
    });
    let body = body.unwrap();
    assert_eq!(body["status"]["active"][0]["name"], "report-2");
}

#[test]
fn very_many_missed_times_start_one_job_and_are_told() {
    let old = json!({"metadata": {"creationTimestamp": "2025-12-01T00:00:00Z"}});
    check(
        &old,
        &[],
        &["tell TooManyMissedTimes", &format!("create {DUE}"), SERVED],
    );
    let ancient = json!({
        "metadata": {"creationTimestamp": "2020-01-01T00:00:00Z"}, "spec": {"schedule": "* * * * *"},
    });
    check(
        &ancient,
        &[],
        &["tell TooManyMissedTimes", &format!("create {DUE}"), SERVED],
    );
}

#[test]
fn a_schedule_or_a_zone_that_is_none_is_told() {
    check(
        &json!({"spec": {"schedule": "soon"}}),
        &[],
        &["tell UnparseableSchedule"],
    );
    let object = cron_job(&json!({"spec": {"timeZone": "Moon/Sea"}}));
    let inputs = Inputs {
        cron_job: &object,
        jobs: &[],
        time_zone: Err("unknown time zone Moon/Sea"),
    };
    let changes = decide(&inputs, Timestamp::UNIX_EPOCH);
    let found: Vec<_> = changes.into_iter().filter_map(describe).collect();
    assert_eq!(found, ["tell UnknownTimeZone"]);
}
