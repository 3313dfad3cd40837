//! When a Job is over, and the conditions that say so.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{Job, JobCondition, JobSpec, JobStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::success_policy;
use super::tally::Tally;

/// How a Job ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) is_success: bool,
    pub(super) reason: String,
    pub(super) message: String,
}

impl Verdict {
    fn failed(reason: &str, message: &str) -> Self {
        Self {
            is_success: false,
            reason: reason.to_owned(),
            message: message.to_owned(),
        }
    }

    fn succeeded(reason: &str, message: &str) -> Self {
        Self {
            is_success: true,
            reason: reason.to_owned(),
            message: message.to_owned(),
        }
    }

    /// The condition that announces the end while pods are still going away.
    pub(super) fn interim(&self) -> &'static str {
        if self.is_success {
            "SuccessCriteriaMet"
        } else {
            "FailureTarget"
        }
    }

    pub(super) fn terminal(&self) -> &'static str {
        if self.is_success {
            "Complete"
        } else {
            "Failed"
        }
    }
}

/// Tells whether the Job has ended for good.
pub(super) fn is_finished(job: &Job) -> bool {
    finished_at(job).is_some()
}

/// When the Job ended for good.
pub(super) fn finished_at(job: &Job) -> Option<Timestamp> {
    let status = job.status.as_ref()?;
    ["Complete", "Failed"]
        .iter()
        .find_map(|kind| find(status, kind))
        .map(|condition| {
            condition
                .last_transition_time
                .as_ref()
                .map_or(Timestamp::UNIX_EPOCH, |time| time.0)
        })
}

/// The true condition of this type.
fn find<'a>(status: &'a JobStatus, kind: &str) -> Option<&'a JobCondition> {
    status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == kind && condition.status == "True")
}

/// Returns how the Job ends, if that is decided before more pods are made.
pub(super) fn early(job: &Job, spec: &JobSpec, tally: &Tally, now: Timestamp) -> Option<Verdict> {
    let status = job.status.clone().unwrap_or_default();
    for (kind, is_success) in [("FailureTarget", false), ("SuccessCriteriaMet", true)] {
        if let Some(known) = find(&status, kind) {
            return Some(Verdict {
                is_success,
                reason: known.reason.clone().unwrap_or_default(),
                message: known.message.clone().unwrap_or_default(),
            });
        }
    }
    if let Some(why) = &tally.fatal {
        return Some(Verdict::failed("PodFailurePolicy", why));
    }
    if let Some(message) = success_policy::met(spec, tally) {
        return Some(Verdict::succeeded("SuccessPolicy", &message));
    }
    let limit = spec.backoff_limit.unwrap_or(6);
    let restarts_in_place = spec
        .template
        .spec
        .as_ref()
        .and_then(|pod| pod.restart_policy.as_deref())
        == Some("OnFailure");
    let restarted_too_often =
        restarts_in_place && tally.restarts() > 0 && tally.restarts() >= limit;
    if tally.failed > limit || restarted_too_often {
        return Some(Verdict::failed(
            "BackoffLimitExceeded",
            "Job has reached the specified backoff limit",
        ));
    }
    if deadline(job, spec).is_some_and(|deadline| deadline <= now) {
        return Some(Verdict::failed(
            "DeadlineExceeded",
            "Job was active longer than specified deadline",
        ));
    }
    None
}

/// Returns success, if nothing is left to do.
pub(super) fn complete(spec: &JobSpec, tally: &Tally) -> Option<Verdict> {
    let is_done = match spec.completions {
        None => tally.succeeded > 0,
        Some(wanted) => tally.succeeded >= wanted,
    };
    (is_done && tally.active.is_empty()).then(|| {
        Verdict::succeeded(
            "CompletionsReached",
            "Reached expected number of succeeded pods",
        )
    })
}

/// When the Job has been active for too long.
pub(super) fn deadline(job: &Job, spec: &JobSpec) -> Option<Timestamp> {
    if spec.suspend == Some(true) {
        return None;
    }
    let started = job.status.as_ref()?.start_time.as_ref()?.0;
    let seconds = spec.active_deadline_seconds?;
    started.checked_add(SignedDuration::from_secs(seconds)).ok()
}

/// Sets a condition; returns whether it says something new.
pub(super) fn set(
    status: &mut JobStatus,
    kind: &str,
    value: bool,
    (reason, message): (&str, &str),
    now: Timestamp,
) -> bool {
    let text = if value { "True" } else { "False" };
    let conditions = status.conditions.get_or_insert_default();
    let known = conditions
        .iter_mut()
        .find(|condition| condition.type_ == kind);
    let fresh = JobCondition {
        type_: kind.to_owned(),
        status: text.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_probe_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    };
    match known {
        Some(known) if known.status == text => false,
        Some(known) => {
            *known = fresh;
            true
        }
        // What was never true need not be said to be false.
        None if !value => false,
        None => {
            conditions.push(fresh);
            true
        }
    }
}
