//! Counting the pods of a Job, each exactly once.
//!
//! An ended pod is first noted in the status by its uid, then loses its
//! finalizer, and is counted when it is seen without it. Whatever is repeated
//! or lost in between, no pod is counted twice or not at all. A succeeded pod
//! of an Indexed Job is noted by its index instead.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::batch::v1::{Job, JobStatus, UncountedTerminatedPods};
use k8s_openapi::api::core::v1::Pod;

use super::failure_policy::{Meaning, meaning};
use super::indexes::Indexes;
use super::pods;
use crate::bounds::count;
use crate::change::uid;
use crate::pod;

/// What the pods say today.
pub(super) struct Tally {
    /// All owned pods.
    pub(super) pods: Vec<Arc<Pod>>,
    /// Neither ended nor on their way out.
    pub(super) active: Vec<Arc<Pod>>,
    /// On their way out without having ended.
    pub(super) terminating: i32,
    pub(super) succeeded: i32,
    pub(super) failed: i32,
    /// Indexes that succeeded, where the Job has indexes.
    pub(super) completed: Option<Indexes>,
    /// Noted, not yet counted.
    pub(super) uncounted: UncountedTerminatedPods,
    /// Counted in the status so far, notes excluded.
    counted: (i32, i32),
    /// Noted or ignored: these may go once the status is written.
    pub(super) to_release: Vec<Arc<Pod>>,
    /// Why a pod makes the whole Job fail.
    pub(super) fatal: Option<String>,
}

impl Tally {
    pub(super) fn new(job: &Job, owned: Vec<Arc<Pod>>) -> Self {
        let status = job.status.clone().unwrap_or_default();
        let limit = job.spec.as_ref().and_then(|spec| spec.completions);
        let limit = limit.unwrap_or(0);
        let mut completed =
            is_indexed(job).then(|| Indexes::parse(status.completed_indexes.as_deref(), limit));
        let noted = status.uncounted_terminated_pods.clone().unwrap_or_default();
        let tracked: BTreeSet<&str> = owned
            .iter()
            .filter(|pod| pods::is_tracked(pod))
            .map(|pod| uid(pod.as_ref()))
            .collect();
        let (mut succeeded, still_succeeded) = settle(noted.succeeded, &tracked);
        let (mut failed, still_failed) = settle(noted.failed, &tracked);
        succeeded += status.succeeded.unwrap_or(0);
        failed += status.failed.unwrap_or(0);
        let mut uncounted = UncountedTerminatedPods {
            succeeded: Some(still_succeeded),
            failed: Some(still_failed),
        };
        let mut to_release = Vec::new();
        let mut fatal = None;
        for pod in owned.iter().filter(|pod| pods::is_tracked(pod)) {
            let own = uid(pod.as_ref()).to_owned();
            let list = if pod::phase(pod) == "Succeeded" {
                if let Some(completed) = &mut completed {
                    completed.0.extend(pods::index(pod, limit));
                    to_release.push(Arc::clone(pod));
                    continue;
                }
                &mut uncounted.succeeded
            } else if pods::is_failed(job, pod) {
                match meaning(job, pod) {
                    Meaning::Ignored => {
                        to_release.push(Arc::clone(pod));
                        continue;
                    }
                    Meaning::FailsJob(why) => fatal = fatal.or(Some(why)),
                    Meaning::Counts => {}
                }
                &mut uncounted.failed
            } else {
                continue;
            };
            let list = list.get_or_insert_default();
            if !list.contains(&own) {
                list.push(own);
            }
            to_release.push(Arc::clone(pod));
        }
        if let Some(completed) = &completed {
            succeeded = count(completed.0.len());
        }
        let length = |list: &Option<Vec<String>>| count(list.as_ref().map_or(0, Vec::len));
        Self {
            active: owned
                .iter()
                .filter(|pod| pod::is_active(pod))
                .cloned()
                .collect(),
            terminating: count(owned.iter().filter(|pod| pods::is_terminating(pod)).count()),
            succeeded: succeeded + length(&uncounted.succeeded),
            failed: failed + length(&uncounted.failed),
            counted: (succeeded, failed),
            completed,
            uncounted,
            to_release,
            fatal,
            pods: owned,
        }
    }

    /// Whether every ended pod is counted.
    pub(super) fn is_settled(&self) -> bool {
        let is_empty = |list: &Option<Vec<String>>| list.as_ref().is_none_or(Vec::is_empty);
        is_empty(&self.uncounted.succeeded) && is_empty(&self.uncounted.failed)
    }

    /// Restarts of the containers of pods that are restarted in place.
    pub(super) fn restarts(&self) -> i32 {
        self.active.iter().map(|pod| all_restarts(pod)).sum()
    }

    /// Writes the numbers into a status.
    pub(super) fn write(&self, status: &mut JobStatus) {
        let ready = self.active.iter().filter(|pod| pod::is_ready(pod)).count();
        status.active = Some(count(self.active.len()));
        status.ready = Some(count(ready));
        status.terminating = Some(self.terminating);
        status.succeeded = Some(self.counted.0);
        status.failed = Some(self.counted.1);
        if let Some(completed) = &self.completed {
            status.completed_indexes = completed.text();
        }
        let kept = |list: &Option<Vec<String>>| list.clone().filter(|list| !list.is_empty());
        status.uncounted_terminated_pods = Some(UncountedTerminatedPods {
            succeeded: kept(&self.uncounted.succeeded),
            failed: kept(&self.uncounted.failed),
        });
    }
}

pub(super) fn is_indexed(job: &Job) -> bool {
    job.spec
        .as_ref()
        .and_then(|spec| spec.completion_mode.as_deref())
        == Some("Indexed")
}

/// Counts the noted pods that lost their finalizer; returns the others.
fn settle(noted: Option<Vec<String>>, tracked: &BTreeSet<&str>) -> (i32, Vec<String>) {
    let (waiting, counted): (Vec<String>, Vec<String>) = noted
        .unwrap_or_default()
        .into_iter()
        .partition(|uid| tracked.contains(uid.as_str()));
    (count(counted.len()), waiting)
}

fn all_restarts(pod: &Pod) -> i32 {
    let statuses = pod.status.iter().flat_map(|status| {
        let own = status.container_statuses.iter().flatten();
        own.chain(status.init_container_statuses.iter().flatten())
    });
    statuses.map(|container| container.restart_count).sum()
}
