//! How long a Job waits after failures before it makes another pod.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;

use super::pods;
use crate::pod;

const FIRST: SignedDuration = SignedDuration::from_secs(10);
const LONGEST: SignedDuration = SignedDuration::from_mins(10);

/// Returns when the next pod may be made: 10 s after one failure, twice as
/// long after each further one since the last success.
pub(super) fn next_start<'a>(
    job: &Job,
    owned: impl Iterator<Item = &'a Pod>,
    now: Timestamp,
) -> Timestamp {
    let mut ends: Vec<(Timestamp, bool)> = owned
        .filter_map(|pod| {
            let failed = pods::is_failed(job, pod);
            let ended = failed || pod::phase(pod) == "Succeeded";
            ended.then(|| (ended_at(pod).unwrap_or(now), failed))
        })
        .collect();
    ends.sort_unstable();
    let failures = ends.iter().rev().take_while(|(_, failed)| *failed).count();
    let Some((last, _)) = ends.last().filter(|_| failures > 0) else {
        return now;
    };
    let doublings = u32::try_from(failures - 1).unwrap_or(u32::MAX).min(6);
    let wait = (FIRST * 2_i32.pow(doublings)).min(LONGEST);
    last.checked_add(wait).unwrap_or(now)
}

/// When the last container ended, or when the pod was told to.
fn ended_at(pod: &Pod) -> Option<Timestamp> {
    let status = pod.status.as_ref();
    let containers = status
        .into_iter()
        .flat_map(|status| status.container_statuses.iter().flatten());
    let ends = containers.filter_map(|container| {
        let terminated = container.state.as_ref()?.terminated.as_ref()?;
        terminated.finished_at.as_ref().map(|time| time.0)
    });
    let ready = pod::condition(pod, "Ready").and_then(|ready| ready.last_transition_time.as_ref());
    ends.max().or_else(|| ready.map(|time| time.0)).or_else(|| {
        let known = pod.metadata.deletion_timestamp.as_ref();
        let known = known.or(pod.metadata.creation_timestamp.as_ref());
        known.map(|time| time.0)
    })
}
