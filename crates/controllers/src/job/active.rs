//! How many pods of a Job should run now, and which are made or ended for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::Pod;

use super::tally::Tally;
use super::{backoff, pods};
use crate::bounds::count;
use crate::change::{Change, reference};
use crate::replica_set::victims;

/// Pods created or deleted by one decision at most.
const BURST: usize = 500;

/// Returns the creations and deletions that bring the running pods to their number.
pub(super) fn plan(job: &Job, spec: &JobSpec, tally: &Tally, now: Timestamp) -> Vec<Change> {
    if spec.suspend == Some(true) {
        return end(job, &tally.active);
    }
    let wanted = wanted(spec, tally);
    let running = count(tally.active.len());
    let misplaced = misplaced(spec, tally);
    let excess = usize::try_from(running - wanted).unwrap_or(0);
    if excess > 0 || !misplaced.is_empty() {
        let staying: Vec<Arc<Pod>> = tally
            .active
            .iter()
            .filter(|pod| !misplaced.iter().any(|other| Arc::ptr_eq(pod, other)))
            .cloned()
            .collect();
        let more = excess.saturating_sub(misplaced.len());
        let mut ended = misplaced;
        ended.extend(victims(&staying, &[], more, now).into_iter().cloned());
        ended.truncate(BURST);
        return end(job, &ended);
    }
    let going = if pods::replaces_only_failed(job) {
        tally.terminating
    } else {
        0
    };
    let missing = usize::try_from(wanted - running - going).unwrap_or(0);
    if missing == 0 {
        return Vec::new();
    }
    let start = backoff::next_start(job, tally.pods.iter().map(AsRef::as_ref), now);
    if start > now {
        return vec![Change::requeue_at(start, now)];
    }
    let indexes = free_indexes(spec, tally, missing.min(BURST));
    indexes
        .into_iter()
        .map(|index| Change::create(&pods::create(job, index), Some(reference(job))))
        .collect()
}

fn wanted(spec: &JobSpec, tally: &Tally) -> i32 {
    let parallelism = spec.parallelism.unwrap_or(1);
    match spec.completions {
        // The first success of a work queue says that the work is done.
        None if tally.succeeded > 0 => count(tally.active.len()),
        None => parallelism,
        Some(completions) => (completions - tally.succeeded).clamp(0, parallelism.max(0)),
    }
}

/// Active pods whose index is not wanted, or that another pod has too.
fn misplaced(spec: &JobSpec, tally: &Tally) -> Vec<Arc<Pod>> {
    let Some(completed) = &tally.completed else {
        return Vec::new();
    };
    let limit = spec.completions.unwrap_or(0);
    let mut taken = BTreeSet::new();
    let is_misplaced = |pod: &Arc<Pod>| {
        pods::index(pod, limit)
            .is_none_or(|index| completed.contains(index) || !taken.insert(index))
    };
    let mut is_misplaced = is_misplaced;
    let active = tally.active.iter();
    active.filter(|pod| is_misplaced(pod)).cloned().collect()
}

/// The indexes of the next pods; without indexes, as many nones.
fn free_indexes(spec: &JobSpec, tally: &Tally, missing: usize) -> Vec<Option<i32>> {
    let Some(completed) = &tally.completed else {
        return vec![None; missing];
    };
    let limit = spec.completions.unwrap_or(0);
    let taken: BTreeSet<i32> = tally
        .active
        .iter()
        .filter_map(|pod| pods::index(pod, limit))
        .collect();
    (0..limit)
        .filter(|index| !taken.contains(index) && !completed.contains(*index))
        .take(missing)
        .map(Some)
        .collect()
}

/// Ends pods without counting them: they did nothing wrong.
fn end(job: &Job, ended: &[Arc<Pod>]) -> Vec<Change> {
    let released = ended.iter().filter_map(|pod| pods::release(pod));
    let deleted = ended
        .iter()
        .map(|pod| Change::delete(pod.as_ref(), Some(reference(job))));
    released.chain(deleted).collect()
}
