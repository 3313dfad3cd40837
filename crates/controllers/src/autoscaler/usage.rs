//! Measured usage of pods, and which of them can be judged by it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;

use crate::change::name;
use crate::pod;

/// A starting pod uses more processor than a running one: its samples do not
/// count for this long, unless it is ready.
const STARTING: SignedDuration = SignedDuration::from_mins(5);
/// A pod that became unready this soon after its start was never ready.
const FIRST_READY: SignedDuration = SignedDuration::from_secs(30);

/// What one pod was measured to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodUsage {
    pub at: Timestamp,
    /// The time the measurement covers, up to `at`.
    pub window: SignedDuration,
    /// Thousandths of each resource, by container and resource.
    pub containers: BTreeMap<String, BTreeMap<String, i128>>,
}

/// Usage by pod name.
pub type Usage = BTreeMap<String, PodUsage>;

impl PodUsage {
    /// What the pod, or one container of it, uses of a resource.
    pub(super) fn of(&self, resource: &str, container: Option<&str>) -> Option<i128> {
        let amounts: Option<Vec<i128>> = self
            .containers
            .iter()
            .filter(|(own, _)| container.is_none_or(|named| named == own.as_str()))
            .map(|(_, amounts)| amounts.get(resource).copied())
            .collect();
        amounts
            .filter(|amounts| !amounts.is_empty())
            .map(|amounts| amounts.iter().sum())
    }
}

/// Pods by what can be said of them.
#[derive(Default)]
pub(super) struct Groups<'a> {
    /// Measured and ready: the samples that count.
    pub(super) measured: BTreeMap<&'a str, i128>,
    pub(super) missing: Vec<&'a Pod>,
    pub(super) unready: Vec<&'a Pod>,
}

pub(super) fn group<'a>(
    pods: &'a [Arc<Pod>],
    usage: &Usage,
    resource: &str,
    container: Option<&str>,
    now: Timestamp,
) -> Groups<'a> {
    let mut groups = Groups::default();
    for pod in pods {
        if pod.metadata.deletion_timestamp.is_some() || pod::phase(pod) == "Failed" {
            continue;
        }
        if pod::phase(pod) == "Pending" {
            groups.unready.push(pod);
            continue;
        }
        let sample = usage.get(name(pod.as_ref()));
        let amount = sample.and_then(|sample| sample.of(resource, container));
        let (Some(sample), Some(amount)) = (sample, amount) else {
            groups.missing.push(pod);
            continue;
        };
        if resource == "cpu" && is_starting(pod, sample, now) {
            groups.unready.push(pod);
        } else {
            groups.measured.insert(name(pod.as_ref()), amount);
        }
    }
    groups
}

fn is_starting(pod: &Pod, sample: &PodUsage, now: Timestamp) -> bool {
    let ready = pod::condition(pod, "Ready");
    let started = pod
        .status
        .as_ref()
        .and_then(|status| status.start_time.as_ref());
    let (Some(ready), Some(started)) = (ready, started) else {
        return true;
    };
    let changed = ready
        .last_transition_time
        .as_ref()
        .map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    if started.0 + STARTING > now {
        ready.status == "False" || sample.at < changed + sample.window
    } else {
        ready.status == "False" && started.0 + FIRST_READY > changed
    }
}
