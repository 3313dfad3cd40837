//! The status of a `ReplicaSet`.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Inputs, wanted_replicas};
use crate::change::Change;
use crate::{pod, selector};

/// Returns the status patch, if the status says something else today.
pub(super) fn change(
    inputs: &Inputs<'_>,
    active: &[Arc<Pod>],
    terminating: usize,
    now: Timestamp,
) -> Option<Change> {
    let set = inputs.replica_set;
    let before = set.status.clone().unwrap_or_default();
    let template_labels = set
        .spec
        .as_ref()
        .and_then(|spec| spec.template.as_ref())
        .and_then(|template| template.metadata.as_ref())
        .and_then(|meta| meta.labels.clone())
        .unwrap_or_default();
    let count = |accept: &dyn Fn(&Pod) -> bool| {
        let counted = active.iter().filter(|pod| accept(pod)).count();
        i32::try_from(counted).unwrap_or(i32::MAX)
    };
    let replicas = count(&|_| true);
    let wanted = ReplicaSet {
        status: Some(ReplicaSetStatus {
            replicas,
            fully_labeled_replicas: Some(count(&|pod| {
                selector::matches_map(&template_labels, pod.metadata.labels.as_ref())
            })),
            ready_replicas: Some(count(&pod::is_ready)),
            available_replicas: Some(count(&|pod| {
                pod::available_at(pod, min_ready_seconds(set)).is_some_and(|at| at <= now)
            })),
            terminating_replicas: Some(i32::try_from(terminating).unwrap_or(i32::MAX)),
            observed_generation: set.metadata.generation.max(before.observed_generation),
            conditions: conditions(
                &before,
                inputs.failure,
                replicas < wanted_replicas(set),
                now,
            ),
        }),
        ..set.clone()
    };
    // The API leaves zero counts out, so they must compare as equal to absent.
    if set
        .status
        .as_ref()
        .is_some_and(|status| same(status, wanted.status.as_ref()))
    {
        return None;
    }
    Change::update_status(set, &wanted)
}

/// Asks to be woken when the youngest ready pod becomes available.
pub(super) fn recheck(set: &ReplicaSet, active: &[Arc<Pod>], now: Timestamp) -> Option<Change> {
    let due = active
        .iter()
        .filter_map(|pod| pod::available_at(pod, min_ready_seconds(set)))
        .filter(|&at| at > now)
        .min()?;
    let wait = due.duration_since(now) + SignedDuration::from_millis(1);
    Some(Change::Requeue {
        after: Duration::try_from(wait).unwrap_or_default(),
    })
}

fn min_ready_seconds(set: &ReplicaSet) -> i32 {
    set.spec
        .as_ref()
        .and_then(|spec| spec.min_ready_seconds)
        .unwrap_or(0)
}

fn same(before: &ReplicaSetStatus, after: Option<&ReplicaSetStatus>) -> bool {
    let normal = |status: &ReplicaSetStatus| {
        let zero = |count: Option<i32>| count.filter(|&count| count != 0);
        ReplicaSetStatus {
            replicas: status.replicas,
            fully_labeled_replicas: zero(status.fully_labeled_replicas),
            ready_replicas: zero(status.ready_replicas),
            available_replicas: zero(status.available_replicas),
            terminating_replicas: zero(status.terminating_replicas),
            observed_generation: status.observed_generation,
            conditions: status
                .conditions
                .clone()
                .filter(|conditions| !conditions.is_empty()),
        }
    };
    after.is_some_and(|after| normal(before) == normal(after))
}

fn conditions(
    before: &ReplicaSetStatus,
    failure: Option<&str>,
    creating: bool,
    now: Timestamp,
) -> Option<Vec<ReplicaSetCondition>> {
    let mut conditions = before.conditions.clone().unwrap_or_default();
    let known = conditions
        .iter()
        .any(|condition| condition.type_ == "ReplicaFailure");
    match failure {
        None => conditions.retain(|condition| condition.type_ != "ReplicaFailure"),
        Some(message) if !known => conditions.push(ReplicaSetCondition {
            type_: "ReplicaFailure".to_owned(),
            status: "True".to_owned(),
            reason: Some(
                if creating {
                    "FailedCreate"
                } else {
                    "FailedDelete"
                }
                .to_owned(),
            ),
            message: Some(message.to_owned()),
            last_transition_time: Some(Time(now)),
        }),
        Some(_) => {}
    }
    (!conditions.is_empty()).then_some(conditions)
}
