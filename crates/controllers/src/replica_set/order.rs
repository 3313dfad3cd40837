//! Which pods go first when there are too many.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use crate::pod;

const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// Returns the `count` pods whose loss costs least, in deletion order.
pub(crate) fn victims<'a>(
    active: &'a [Arc<Pod>],
    related: &[Arc<Pod>],
    count: usize,
    now: Timestamp,
) -> Vec<&'a Arc<Pod>> {
    let mut crowd: BTreeMap<&str, usize> = BTreeMap::new();
    for pod in related {
        if let Some(node) = node(pod) {
            *crowd.entry(node).or_default() += 1;
        }
    }
    let mut pods: Vec<_> = active.iter().collect();
    pods.sort_by(|one, other| cheaper(one, other, &crowd, now));
    pods.truncate(count);
    pods
}

/// Orders by: unassigned, pending, not ready, lower deletion cost, on a
/// crowded node, ready for a shorter time, more restarts, younger.
fn cheaper(one: &Pod, other: &Pod, crowd: &BTreeMap<&str, usize>, now: Timestamp) -> Ordering {
    let crowded = |pod: &Pod| {
        node(pod)
            .and_then(|node| crowd.get(node))
            .copied()
            .unwrap_or(0)
    };
    node(one)
        .is_some()
        .cmp(&node(other).is_some())
        .then_with(|| phase_rank(one).cmp(&phase_rank(other)))
        .then_with(|| pod::is_ready(one).cmp(&pod::is_ready(other)))
        .then_with(|| deletion_cost(one).cmp(&deletion_cost(other)))
        .then_with(|| crowded(other).cmp(&crowded(one)))
        .then_with(|| {
            age_rank(pod::ready_since(one), now).cmp(&age_rank(pod::ready_since(other), now))
        })
        .then_with(|| pod::restarts(other).cmp(&pod::restarts(one)))
        .then_with(|| age_rank(created(one), now).cmp(&age_rank(created(other), now)))
        .then_with(|| one.metadata.uid.cmp(&other.metadata.uid))
}

fn node(pod: &Pod) -> Option<&str> {
    pod.spec
        .as_ref()?
        .node_name
        .as_deref()
        .filter(|node| !node.is_empty())
}

fn phase_rank(pod: &Pod) -> u8 {
    match pod::phase(pod) {
        "Pending" => 0,
        "Unknown" => 1,
        _ => 2,
    }
}

fn deletion_cost(pod: &Pod) -> i32 {
    pod.metadata
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get(DELETION_COST))
        .and_then(|cost| cost.parse().ok())
        .unwrap_or(0)
}

fn created(pod: &Pod) -> Option<Timestamp> {
    pod.metadata.creation_timestamp.as_ref().map(|time| time.0)
}

/// Buckets ages by powers of two, so that pods of about the same age are told
/// apart by uid, which spreads deletions, and not by a second's difference.
fn age_rank(since: Option<Timestamp>, now: Timestamp) -> i64 {
    let age = since.map_or(0, |since| now.duration_since(since).as_nanos());
    if age <= 0 { -1 } else { i64::from(age.ilog2()) }
}
