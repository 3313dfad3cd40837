//! The Jobs a `CronJob` made: which still run, and which have been kept long enough.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, CronJobStatus, Job};
use k8s_openapi::api::core::v1::ObjectReference;

use crate::change::{Change, EventKind, name, reference, uid};

/// How a Job ended, if it has.
fn ending(job: &Job) -> Option<&'static str> {
    let conditions = job
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    conditions
        .filter(|condition| condition.status == "True")
        .find_map(|condition| match condition.type_.as_str() {
            "Complete" => Some("Complete"),
            "Failed" => Some("Failed"),
            _ => None,
        })
}

/// Deletes the oldest ended Jobs beyond the limits.
pub(super) fn clean_up(spec: &CronJobSpec, own: &[&Arc<Job>], cron_job: &CronJob) -> Vec<Change> {
    let limits = [
        ("Complete", spec.successful_jobs_history_limit.unwrap_or(3)),
        ("Failed", spec.failed_jobs_history_limit.unwrap_or(1)),
    ];
    let surplus = limits.into_iter().flat_map(|(kind, limit)| {
        let mut ended: Vec<_> = own
            .iter()
            .filter(|job| ending(job) == Some(kind) && job.metadata.deletion_timestamp.is_none())
            .collect();
        ended.sort_by_key(|job| (started(job), name(job.as_ref()).to_owned()));
        let kept = usize::try_from(limit).unwrap_or(0);
        let count = ended.len().saturating_sub(kept);
        ended.into_iter().take(count)
    });
    surplus
        .map(|job| Change::delete(job.as_ref(), Some(reference(cron_job))))
        .collect()
}

fn started(job: &Job) -> Option<Timestamp> {
    let status = job.status.as_ref()?;
    status.start_time.as_ref().map(|time| time.0)
}

/// Brings the list of running Jobs and the time of the last success up to date.
pub(super) fn update_active(
    cron_job: &CronJob,
    own: &[&Arc<Job>],
    status: &mut CronJobStatus,
) -> Vec<Change> {
    let mut told = Vec::new();
    let mut tell = |reason, message: String| {
        told.push(Change::event(cron_job, EventKind::Normal, reason, message));
    };
    let mut active = status.active.take().unwrap_or_default();
    active.retain(|known| {
        let job = own
            .iter()
            .find(|job| known.uid.as_deref() == Some(uid(job.as_ref())));
        let name = known.name.as_deref().unwrap_or_default();
        match job.map(|job| ending(job)) {
            None => tell("MissingJob", format!("Active job went missing: {name}")),
            Some(Some(how)) => tell(
                "SawCompletedJob",
                format!("Saw completed job: {name}, condition: {how}"),
            ),
            Some(None) => return true,
        }
        false
    });
    for job in own {
        let own = uid(job.as_ref());
        let is_known = |active: &ObjectReference| active.uid.as_deref() == Some(own);
        match ending(job) {
            None if job.metadata.deletion_timestamp.is_some() => {}
            None if !active.iter().any(is_known) => active.push(reference(job.as_ref())),
            Some("Complete") => {
                let completed = job.status.as_ref();
                let completed = completed.and_then(|status| status.completion_time.clone());
                if completed > status.last_successful_time {
                    status.last_successful_time = completed;
                }
            }
            _ => {}
        }
    }
    status.active = (!active.is_empty()).then_some(active);
    told
}
