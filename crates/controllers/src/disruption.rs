//! What a `PodDisruptionBudget` allows: how many of its pods may be disturbed now.

mod expected;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::bounds::count;
use crate::change::{Change, EventKind};
use crate::{pod, selector};

/// Time between a granted eviction and the deletion it announced. After it the
/// pod counts as undisturbed again.
const DELETION_PATIENCE: SignedDuration = SignedDuration::from_mins(2);
const CONDITION: &str = "DisruptionAllowed";

/// What is known about one budget. All lists are of its namespace.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    pub budget: &'a PodDisruptionBudget,
    pub pods: &'a [Arc<Pod>],
    pub replica_sets: &'a [Arc<ReplicaSet>],
    pub deployments: &'a [Arc<Deployment>],
    pub stateful_sets: &'a [Arc<StatefulSet>],
}

/// Returns the changes that bring the budget's status up to date.
pub fn decide(inputs: &Inputs<'_>, now: Timestamp) -> Vec<Change> {
    let budget = inputs.budget;
    let Some(spec) = &budget.spec else {
        return Vec::new();
    };
    let pods: Vec<&Pod> = inputs
        .pods
        .iter()
        .filter(|pod| {
            spec.selector
                .as_ref()
                .is_some_and(|selector| selector::matches(selector, pod.metadata.labels.as_ref()))
        })
        .map(AsRef::as_ref)
        .collect();
    let mut changes = Vec::new();
    if pods.is_empty() {
        let message = "No matching pods found".to_owned();
        changes.push(Change::event(budget, EventKind::Normal, "NoPods", message));
    }
    let expected = match expected::count_pods(inputs, &pods) {
        Ok(expected) => expected,
        Err(unknown) => {
            changes.extend(fail_closed(budget, &unknown, now));
            return changes;
        }
    };
    if expected.has_unmanaged {
        changes.push(unmanaged(budget));
    }
    let disturbed = disturbed(budget, &pods, now);
    changes.extend(disturbed.overdue);
    let healthy = pods
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .filter(|pod| !disturbed.pods.contains_key(crate::change::name(**pod)))
        .filter(|pod| pod::is_ready(pod))
        .count();
    let allowed = if expected.total <= 0 {
        0
    } else {
        (count(healthy) - expected.healthy).max(0)
    };
    let before = budget.status.clone().unwrap_or_default();
    let status = PodDisruptionBudgetStatus {
        current_healthy: Some(count(healthy)),
        desired_healthy: Some(expected.healthy),
        expected_pods: Some(expected.total),
        disruptions_allowed: Some(allowed),
        disrupted_pods: (!disturbed.pods.is_empty()).then_some(disturbed.pods),
        observed_generation: budget.metadata.generation,
        conditions: Some(with_condition(
            before.conditions.unwrap_or_default(),
            if allowed > 0 {
                ("True", "SufficientPods")
            } else {
                ("False", "InsufficientPods")
            },
            String::new(),
            budget.metadata.generation,
            now,
        )),
    };
    changes.extend(write(budget, status));
    changes.extend(disturbed.recheck.map(|at| Change::requeue_at(at, now)));
    changes
}

/// Returns what happens to a pod whose announced disruption never came: its
/// condition is taken back.
pub fn decide_stale(pod: &Pod, now: Timestamp) -> Vec<Change> {
    let Some(condition) = pod::condition(pod, "DisruptionTarget") else {
        return Vec::new();
    };
    let is_settled = pod.metadata.deletion_timestamp.is_some()
        || condition.status != "True"
        || condition.reason.as_deref() == Some("TerminationByKubelet")
        || pod::is_terminal(pod);
    if is_settled {
        return Vec::new();
    }
    let since = condition
        .last_transition_time
        .as_ref()
        .map_or(now, |time| time.0);
    let due = since + DELETION_PATIENCE;
    if due > now {
        return vec![Change::requeue_at(due, now)];
    }
    let mut cleared = pod.clone();
    let conditions = cleared.status.get_or_insert_default().conditions.iter_mut();
    for known in conditions.flatten() {
        if known.type_ == "DisruptionTarget" {
            "False".clone_into(&mut known.status);
            known.reason = None;
            known.message = None;
            known.last_transition_time = Some(Time(now));
        }
    }
    Change::update_status(pod, &cleared).into_iter().collect()
}

/// Evictions that were granted and are still to be seen.
struct Disturbed {
    pods: BTreeMap<String, Time>,
    overdue: Vec<Change>,
    recheck: Option<Timestamp>,
}

fn disturbed(budget: &PodDisruptionBudget, pods: &[&Pod], now: Timestamp) -> Disturbed {
    let granted = budget
        .status
        .as_ref()
        .and_then(|status| status.disrupted_pods.clone())
        .unwrap_or_default();
    let mut disturbed = Disturbed {
        pods: BTreeMap::new(),
        overdue: Vec::new(),
        recheck: None,
    };
    for pod in pods {
        let name = crate::change::name(*pod);
        let Some(time) = granted.get(name) else {
            continue;
        };
        if pod.metadata.deletion_timestamp.is_some() {
            continue;
        }
        let due = time.0 + DELETION_PATIENCE;
        if due < now {
            let message = format!(
                "Pod was expected by PDB {}/{} to be deleted but it wasn't",
                budget.metadata.namespace.as_deref().unwrap_or_default(),
                crate::change::name(budget)
            );
            disturbed.overdue.push(Change::event(
                *pod,
                EventKind::Warning,
                "NotDeleted",
                message,
            ));
        } else {
            disturbed.recheck = Some(disturbed.recheck.map_or(due, |known| known.min(due)));
            disturbed.pods.insert(name.to_owned(), time.clone());
        }
    }
    disturbed
}

/// Nothing may be disturbed while nobody knows how many pods there should be.
fn fail_closed(budget: &PodDisruptionBudget, unknown: &str, now: Timestamp) -> Vec<Change> {
    let message = format!("Failed to calculate the number of expected pods: {unknown}");
    let told = Change::event(
        budget,
        EventKind::Warning,
        "CalculateExpectedPodCountFailed",
        message,
    );
    let before = budget.status.clone().unwrap_or_default();
    let status = PodDisruptionBudgetStatus {
        disruptions_allowed: Some(0),
        conditions: Some(with_condition(
            before.conditions.clone().unwrap_or_default(),
            ("False", "SyncFailed"),
            unknown.to_owned(),
            before.observed_generation,
            now,
        )),
        ..before
    };
    [told].into_iter().chain(write(budget, status)).collect()
}

fn unmanaged(budget: &PodDisruptionBudget) -> Change {
    let message = "Pods selected by this PodDisruptionBudget were found to be unmanaged. As a result, the \
                   status of the PDB cannot be calculated correctly, which may result in undefined \
                   behavior. To account for these pods please set \".spec.minAvailable\" field of the \
                   PDB to an integer value."
        .to_owned();
    Change::event(budget, EventKind::Warning, "UnmanagedPods", message)
}

fn write(budget: &PodDisruptionBudget, status: PodDisruptionBudgetStatus) -> Option<Change> {
    let wanted = PodDisruptionBudget {
        status: Some(status),
        ..budget.clone()
    };
    Change::update_status(budget, &wanted)
}

fn with_condition(
    mut conditions: Vec<Condition>,
    (status, reason): (&str, &str),
    message: String,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let known = conditions.iter().find(|one| one.type_ == CONDITION);
    let since = known
        .filter(|one| one.status == status)
        .map_or(Time(now), |one| one.last_transition_time.clone());
    conditions.retain(|one| one.type_ != CONDITION);
    conditions.push(Condition {
        type_: CONDITION.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        observed_generation: generation,
        last_transition_time: since,
    });
    conditions
}
