//! Rules of jobs and cron jobs.

use crate::assess::or;
use crate::object::Object;
use crate::state::{Health, State};

/// A job that runs is never current: only its end is.
pub(crate) fn job(object: Object<'_>) -> Health {
    for kind in ["Failed", "FailureTarget"] {
        if let Some(found) = object.met(kind) {
            return Health::new(
                State::Failed,
                object.cause(or(found.reason, "JobFailed"), found.message),
            );
        }
    }
    if object
        .condition("Complete")
        .is_some_and(|found| found.is_true())
    {
        return Health::current();
    }
    if object.flag("/spec/suspend")
        && object
            .condition("Suspended")
            .is_some_and(|found| found.is_true())
    {
        return Health::new(
            State::Suspended,
            object.cause("Suspended", "the job is suspended"),
        );
    }
    if !object.has("/status/startTime") {
        return Health::new(
            State::InProgress,
            object.cause("NotStarted", "the job has not started"),
        );
    }
    let message = format!(
        "{} active, {} succeeded, {} failed",
        object.count("/status/active"),
        object.count("/status/succeeded"),
        object.count("/status/failed")
    );
    Health::new(State::InProgress, object.cause("Running", message))
}

/// A cron job never gates a rollout: it is neutral, or degraded by its last run.
pub(crate) fn cron_job(object: Object<'_>) -> Health {
    if object.flag("/spec/suspend") {
        return Health::new(
            State::Suspended,
            object.cause("Suspended", "the schedule is suspended"),
        );
    }
    let Some(scheduled) = object.time("/status/lastScheduleTime") else {
        return Health::current();
    };
    if !object.list("/status/active").is_empty() {
        return Health::current();
    }
    match object.time("/status/lastSuccessfulTime") {
        Some(succeeded) if succeeded >= scheduled => Health::current(),
        _ => Health::new(
            State::Degraded,
            object.cause("LastRunFailed", "the last scheduled run did not succeed"),
        ),
    }
}
