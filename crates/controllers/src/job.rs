//! What a Job asks for: pods until enough of them have succeeded.

mod active;
mod backoff;
mod failure_policy;
mod indexes;
mod pods;
mod success_policy;
mod tally;
#[cfg(test)]
mod tests;
mod verdict;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{Job, JobSpec, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::change::{Change, EventKind, Kind, Propagation, Target, reference, uid};
use crate::claim::claim;
use crate::ownership::controller_of;
use tally::Tally;
use verdict::Verdict;

/// Who looks after Jobs that name nobody else.
const OURSELVES: &str = "kubernetes.io/job-controller";

/// What is known about one Job.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    pub job: &'a Job,
    /// All pods of its namespace, whoever owns them.
    pub pods: &'a [Arc<Pod>],
    /// Whether every creation and deletion asked for earlier was seen in
    /// `pods`. While it was not, no more are asked for.
    pub settled: bool,
}

/// Returns the changes that bring the Job one step nearer to its end.
pub fn decide(inputs: &Inputs<'_>, now: Timestamp) -> Vec<Change> {
    let job = inputs.job;
    let Some(spec) = &job.spec else {
        return Vec::new();
    };
    let Some(selector) = &spec.selector else {
        return Vec::new();
    };
    if spec
        .managed_by
        .as_deref()
        .is_some_and(|manager| manager != OURSELVES)
    {
        return Vec::new();
    }
    if verdict::is_finished(job) {
        return after_the_end(inputs, spec, now);
    }
    if spec.backoff_limit_per_index.is_some() {
        let message = "field `spec.backoffLimitPerIndex` is not supported by this controller; \
                       no pods are made"
            .to_owned();
        return vec![Change::event(
            job,
            EventKind::Warning,
            "UnsupportedField",
            message,
        )];
    }
    let claimed = claim(job, selector, inputs.pods);
    let mut changes = claimed.changes;
    let tally = Tally::new(job, claimed.objects);
    let step = Step::plan(inputs, spec, &tally, now);
    changes.extend(step.into_changes(job, &tally));
    changes
}

/// Returns what happens to a pod whose Job is gone: nobody counts it any more.
pub fn decide_orphan(pod: &Pod) -> Vec<Change> {
    let Some(owner) = controller_of(&pod.metadata).filter(|owner| owner.kind == "Job") else {
        return Vec::new();
    };
    if !pods::is_tracked(pod) {
        return Vec::new();
    }
    let target = Target {
        kind: Kind::of::<Job>(),
        namespace: pod.metadata.namespace.clone(),
        name: owner.name.clone(),
    };
    let confirmed = Change::ConfirmGone {
        target,
        uid: owner.uid.clone(),
    };
    [confirmed].into_iter().chain(pods::release(pod)).collect()
}

/// What one decision does to a living Job.
struct Step {
    status: JobStatus,
    told: Vec<Change>,
    pods: Vec<Change>,
}

impl Step {
    fn plan(inputs: &Inputs<'_>, spec: &JobSpec, tally: &Tally, now: Timestamp) -> Self {
        let job = inputs.job;
        let mut step = Self {
            status: job.status.clone().unwrap_or_default(),
            told: Vec::new(),
            pods: Vec::new(),
        };
        let is_suspended = spec.suspend == Some(true);
        if step.status.start_time.is_none() && !is_suspended {
            step.status.start_time = Some(Time(now));
        }
        let mut verdict = verdict::early(job, spec, tally, now);
        if verdict.is_some() {
            // Pods ended because the Job is over are counted as what they become.
            let doomed = tally.active.iter();
            step.pods
                .extend(doomed.map(|pod| Change::delete(pod.as_ref(), Some(reference(job)))));
        } else {
            verdict = verdict::complete(spec, tally);
        }
        if verdict.is_none() {
            step.suspend_or_resume(job, is_suspended, now);
            if inputs.settled && job.metadata.deletion_timestamp.is_none() {
                step.pods.extend(active::plan(job, spec, tally, now));
            }
            let deadline = verdict::deadline(job, spec).filter(|&at| at > now);
            let deadline = deadline.or_else(|| first_deadline(job, spec, now));
            step.pods
                .extend(deadline.map(|at| Change::requeue_at(at, now)));
        }
        tally.write(&mut step.status);
        if let Some(verdict) = verdict {
            step.conclude(job, tally, &verdict, now);
        }
        step
    }

    fn suspend_or_resume(&mut self, job: &Job, is_suspended: bool, now: Timestamp) {
        let (reason, message) = if is_suspended {
            ("JobSuspended", "Job suspended")
        } else {
            ("JobResumed", "Job resumed")
        };
        if !verdict::set(
            &mut self.status,
            "Suspended",
            is_suspended,
            (reason, message),
            now,
        ) {
            return;
        }
        let short = if is_suspended { "Suspended" } else { "Resumed" };
        self.told.push(Change::event(
            job,
            EventKind::Normal,
            short,
            message.to_owned(),
        ));
        if !is_suspended {
            self.status.start_time = Some(Time(now));
        }
    }

    /// Says how the Job ends, first that it will, then that it has.
    fn conclude(&mut self, job: &Job, tally: &Tally, verdict: &Verdict, now: Timestamp) {
        let words = (verdict.reason.as_str(), verdict.message.as_str());
        verdict::set(&mut self.status, verdict.interim(), true, words, now);
        let is_over = tally.is_settled()
            && tally.active.is_empty()
            && tally.terminating == 0
            && tally.to_release.is_empty();
        if !is_over {
            return;
        }
        verdict::set(&mut self.status, verdict.terminal(), true, words, now);
        let (kind, reason, message) = if verdict.is_success {
            self.status.completion_time = Some(Time(now));
            (EventKind::Normal, "Completed", "Job completed".to_owned())
        } else {
            let reason = failure_reason(&verdict.reason);
            (EventKind::Warning, reason, verdict.message.clone())
        };
        self.told.push(Change::event(job, kind, reason, message));
    }

    /// The status goes first: no pod may lose its finalizer before it is noted.
    fn into_changes(self, job: &Job, tally: &Tally) -> Vec<Change> {
        let wanted = Job {
            status: Some(self.status),
            ..job.clone()
        };
        let status = Change::update_status(job, &wanted);
        // Pods that are released while they run are no longer waited for.
        let released = tally.to_release.iter().filter_map(|pod| pods::release(pod));
        status
            .into_iter()
            .chain(self.told)
            .chain(released)
            .chain(self.pods)
            .collect()
    }
}

/// The deadline of a Job that starts with this decision.
fn first_deadline(job: &Job, spec: &JobSpec, now: Timestamp) -> Option<Timestamp> {
    let has_started = job
        .status
        .as_ref()
        .is_some_and(|status| status.start_time.is_some());
    if has_started || spec.suspend == Some(true) {
        return None;
    }
    let seconds = spec.active_deadline_seconds?;
    now.checked_add(SignedDuration::from_secs(seconds)).ok()
}

/// Events carry fixed reasons.
fn failure_reason(reason: &str) -> &'static str {
    match reason {
        "DeadlineExceeded" => "DeadlineExceeded",
        "PodFailurePolicy" => "PodFailurePolicy",
        _ => "BackoffLimitExceeded",
    }
}

/// An ended Job lets its pods go and, if it says so, goes itself.
fn after_the_end(inputs: &Inputs<'_>, spec: &JobSpec, now: Timestamp) -> Vec<Change> {
    let job = inputs.job;
    let own = inputs
        .pods
        .iter()
        .filter(|pod| controller_of(&pod.metadata).is_some_and(|owner| owner.uid == uid(job)));
    let mut changes: Vec<Change> = own
        .filter(|pod| pods::is_tracked(pod))
        .filter_map(|pod| pods::release(pod))
        .collect();
    let Some(ttl) = spec.ttl_seconds_after_finished else {
        return changes;
    };
    if job.metadata.deletion_timestamp.is_some() {
        return changes;
    }
    let ended = verdict::finished_at(job).unwrap_or(now);
    let expires = ended + SignedDuration::from_secs(ttl.into());
    if expires > now {
        changes.push(Change::requeue_at(expires, now));
    } else {
        changes.push(Change::Delete {
            target: Target::of(job),
            uid: uid(job).to_owned(),
            resource_version: job.metadata.resource_version.clone(),
            propagation: Some(Propagation::Foreground),
            grace_seconds: None,
            announce: None,
        });
    }
    changes
}
