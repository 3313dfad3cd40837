//! What a `CronJob` asks for: a Job at every time of its schedule.

mod due;
mod history;
mod schedule;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, CronJobStatus, Job};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use crate::change::{Change, EventKind, name, reference, uid};
use crate::ownership::{controller_of, controller_reference};
use due::Due;
use schedule::Schedule;

pub use schedule::ScheduleError;

/// Says on a Job which time of the schedule it is for.
const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";
/// Clocks are not exact: a moment after the time it surely is the time.
const MARGIN: SignedDuration = SignedDuration::from_millis(100);

/// What is known about one `CronJob`.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    pub cron_job: &'a CronJob,
    /// All Jobs of its namespace, whoever owns them.
    pub jobs: &'a [Arc<Job>],
    /// The zone its spec names (UTC if none), or why it is not known.
    pub time_zone: Result<&'a TimeZone, &'a str>,
}

/// Returns the changes that start what is due and clear away what is over.
pub fn decide(inputs: &Inputs<'_>, now: Timestamp) -> Vec<Change> {
    let cron_job = inputs.cron_job;
    let spec = &cron_job.spec;
    let own: Vec<&Arc<Job>> = inputs
        .jobs
        .iter()
        .filter(|job| controller_of(&job.metadata).is_some_and(|owner| owner.uid == uid(cron_job)))
        .collect();
    let mut step = Step {
        status: cron_job.status.clone().unwrap_or_default(),
        changes: history::clean_up(spec, &own, cron_job),
    };
    step.changes
        .extend(history::update_active(cron_job, &own, &mut step.status));
    let is_waiting = cron_job.metadata.deletion_timestamp.is_some() || spec.suspend == Some(true);
    if !is_waiting {
        match plan(inputs, spec) {
            Ok((schedule, zone)) => step.start(inputs, spec, &schedule, zone, now),
            Err(told) => step.changes.push(*told),
        }
    }
    step.into_changes(cron_job)
}

/// Returns schedule and zone, or the event that says why there are none.
fn plan<'a>(
    inputs: &Inputs<'a>,
    spec: &CronJobSpec,
) -> Result<(Schedule, &'a TimeZone), Box<Change>> {
    let refused = |reason, message| {
        Box::new(Change::event(
            inputs.cron_job,
            EventKind::Warning,
            reason,
            message,
        ))
    };
    let zone = inputs.time_zone.map_err(|why| {
        let named = spec.time_zone.as_deref().unwrap_or_default();
        refused(
            "UnknownTimeZone",
            format!("invalid timeZone: {named:?}: {why}"),
        )
    })?;
    let schedule = Schedule::parse(&spec.schedule).map_err(|why| {
        refused(
            "UnparseableSchedule",
            format!("unparseable schedule: {:?} : {why}", spec.schedule),
        )
    })?;
    Ok((schedule, zone))
}

struct Step {
    status: CronJobStatus,
    changes: Vec<Change>,
}

impl Step {
    fn start(
        &mut self,
        inputs: &Inputs<'_>,
        spec: &CronJobSpec,
        schedule: &Schedule,
        zone: &TimeZone,
        now: Timestamp,
    ) {
        let cron_job = inputs.cron_job;
        if let Some(next) = schedule.next(now, zone) {
            let wake = next.checked_add(MARGIN).unwrap_or(next);
            self.changes.push(Change::requeue_at(wake, now));
        }
        let due = match due::latest(cron_job, spec, schedule, zone, now) {
            Due::Nothing => return,
            Due::At { time, warning } => {
                let told = warning.map(|words| {
                    Change::event(cron_job, EventKind::Warning, "TooManyMissedTimes", words)
                });
                self.changes.extend(told);
                time
            }
        };
        let is_late = spec.starting_deadline_seconds.is_some_and(|seconds| {
            due.checked_add(SignedDuration::from_secs(seconds))
                .is_ok_and(|deadline| deadline < now)
        });
        if is_late {
            let local = due.to_zoned(TimeZone::UTC);
            let message = format!(
                "Missed scheduled time to start a job: {}",
                local.strftime("%a, %d %b %Y %H:%M:%S %z")
            );
            let kind = EventKind::Warning;
            let told = Change::event(cron_job, kind, "MissSchedule", message);
            self.changes.push(told);
            return;
        }
        let job = new_job(cron_job, spec, due, zone);
        let exists = inputs
            .jobs
            .iter()
            .any(|known| name(known.as_ref()) == name(&job));
        if exists {
            // Made before an earlier decision was cut short.
            self.status.last_schedule_time = Some(Time(due));
            return;
        }
        let running = self.status.active.clone().unwrap_or_default();
        match spec.concurrency_policy.as_deref() {
            Some("Forbid") if !running.is_empty() => {
                let message = "Not starting job because prior execution is running and \
                               concurrency policy is Forbid";
                let kind = EventKind::Normal;
                let told = Change::event(cron_job, kind, "JobAlreadyActive", message.to_owned());
                self.changes.push(told);
                return;
            }
            Some("Replace") => {
                let replaced = inputs.jobs.iter().filter(|job| {
                    let own = uid(job.as_ref());
                    let mut running = running.iter();
                    running.any(|active| active.uid.as_deref() == Some(own))
                });
                self.changes.extend(
                    replaced.map(|job| Change::delete(job.as_ref(), Some(reference(cron_job)))),
                );
                self.status.active = None;
            }
            _ => {}
        }
        self.changes
            .push(Change::create(&job, Some(reference(cron_job))));
        self.status.last_schedule_time = Some(Time(due));
    }

    fn into_changes(self, cron_job: &CronJob) -> Vec<Change> {
        let wanted = CronJob {
            status: Some(self.status),
            ..cron_job.clone()
        };
        let status = Change::update_status(cron_job, &wanted);
        self.changes.into_iter().chain(status).collect()
    }
}

/// The Job for one time of the schedule. Its name is made of that time, so
/// that there can be no two.
fn new_job(cron_job: &CronJob, spec: &CronJobSpec, due: Timestamp, zone: &TimeZone) -> Job {
    let template = spec.job_template.clone();
    let meta = template.metadata.unwrap_or_default();
    let mut annotations = meta.annotations.unwrap_or_default();
    let local = due.to_zoned(zone.clone());
    let pattern = if zone.to_offset(due).is_zero() {
        "%Y-%m-%dT%H:%M:%SZ"
    } else {
        "%Y-%m-%dT%H:%M:%S%:z"
    };
    annotations.insert(SCHEDULED.to_owned(), local.strftime(pattern).to_string());
    Job {
        metadata: ObjectMeta {
            name: Some(format!("{}-{}", name(cron_job), due.as_second() / 60)),
            namespace: cron_job.metadata.namespace.clone(),
            labels: meta.labels,
            annotations: Some(annotations),
            creation_timestamp: None,
            owner_references: Some(vec![controller_reference(cron_job)]),
            ..ObjectMeta::default()
        },
        spec: template.spec,
        status: None,
    }
}
