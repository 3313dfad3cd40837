//! Which time of a schedule is due: the latest that was not served.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec};

use super::schedule::Schedule;

/// Times missed before somebody should know.
const MISSED_MAX: i64 = 100;
/// Times looked at one by one before the rest is estimated.
const STEPS_MAX: i64 = 500;

pub(super) enum Due {
    Nothing,
    At {
        time: Timestamp,
        /// Said when very many times were missed.
        warning: Option<String>,
    },
}

/// Returns the latest time up to now that no Job was made for.
pub(super) fn latest(
    cron_job: &CronJob,
    spec: &CronJobSpec,
    schedule: &Schedule,
    zone: &TimeZone,
    now: Timestamp,
) -> Due {
    let served = cron_job
        .status
        .as_ref()
        .and_then(|status| status.last_schedule_time.as_ref())
        .or(cron_job.metadata.creation_timestamp.as_ref())
        .map_or(now, |time| time.0);
    let deadline = spec
        .starting_deadline_seconds
        .and_then(|seconds| now.checked_sub(SignedDuration::from_secs(seconds)).ok());
    let from = deadline.map_or(served, |deadline| served.max(deadline));
    let up_to_now = |after| schedule.next(after, zone).filter(|&time| time <= now);
    let Some(first) = up_to_now(from) else {
        return Due::Nothing;
    };
    let mut time = first;
    let mut missed = 0;
    while let Some(next) = up_to_now(time) {
        missed += 1;
        time = next;
        if missed == STEPS_MAX {
            time = last_before(now, time, first, up_to_now).unwrap_or(time);
        }
    }
    let warning = (missed > MISSED_MAX).then(|| {
        format!(
            "too many missed start times: {missed}. Set or decrease .spec.startingDeadlineSeconds \
             or check clock skew"
        )
    });
    Due::At { time, warning }
}

/// Far behind, goes on a little before now: looks back further and further
/// until there is a time.
fn last_before(
    now: Timestamp,
    known: Timestamp,
    first: Timestamp,
    next: impl Fn(Timestamp) -> Option<Timestamp>,
) -> Option<Timestamp> {
    let steps = i32::try_from(STEPS_MAX).unwrap_or(i32::MAX);
    let mut back = known.duration_since(first) / steps * 2;
    loop {
        let from = now.checked_sub(back).ok()?;
        if from <= known {
            return None;
        }
        if let Some(found) = next(from) {
            return Some(found);
        }
        back = back.checked_mul(2)?;
    }
}
