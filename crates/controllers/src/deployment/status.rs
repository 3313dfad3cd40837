//! The status of a Deployment: counts, conditions, and when to look again.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentCondition, DeploymentSpec, DeploymentStatus, ReplicaSetStatus,
};

use super::condition::{self, AVAILABLE, Finding, PROGRESSING, REPLICA_FAILURE};
use super::replica_sets::{Family, Member};
use super::{history, room, wanted_replicas};
use crate::change::{Change, name};

/// What this decision has to say about progress.
#[derive(Clone, Copy, Debug)]
pub(super) enum Progress {
    /// Nothing: the Deployment is being deleted.
    Untouched,
    /// Only whether it is paused; a resize is not a rollout.
    Paused { paused: bool },
    /// Whether the rollout moves, is done or exceeded its deadline.
    Measured,
}

/// A deadline this long means that none is wanted.
const NO_DEADLINE_SECONDS: i32 = i32::MAX;

/// Returns the status patch, and when to look at the deadline again.
pub(super) fn change(family: &Family<'_>, progress: Progress, now: Timestamp) -> Vec<Change> {
    let before = family.deployment.status.clone().unwrap_or_default();
    let mut after = counts(family, &before);
    let mut conditions = before.conditions.clone().unwrap_or_default();
    condition::set(&mut conditions, availability(family, &after), now);
    match progress {
        Progress::Untouched => {}
        Progress::Paused { paused } => note_pause(family.spec, &mut conditions, paused, now),
        Progress::Measured => {
            measure(family, &before, &after, &mut conditions, now);
            note_failure(family, &mut conditions);
        }
    }
    let deadline = matches!(progress, Progress::Measured)
        .then(|| next_look(family.spec, &after, family, &conditions, now))
        .flatten();
    after.conditions = (!conditions.is_empty()).then_some(conditions);
    let mut wanted = family.deployment.clone();
    if normal(&before) != normal(&after) {
        wanted.status = Some(after);
    }
    // On the main part a changed annotation would count as a new generation.
    history::mark(family, &mut wanted);
    let patch = Change::update_status(family.deployment, &wanted);
    patch.into_iter().chain(deadline).collect()
}

/// Returns the patch that makes the next hash a different one.
pub(super) fn count_collision(deployment: &Deployment, collisions: i32) -> Option<Change> {
    let mut wanted = deployment.clone();
    wanted.status.get_or_insert_default().collision_count = Some(collisions);
    Change::update_status(deployment, &wanted)
}

/// All replicas run the present template, are available, and nothing else runs.
pub(super) fn is_complete(family: &Family<'_>) -> bool {
    let status = family.deployment.status.clone().unwrap_or_default();
    is_complete_by(family, &status)
}

fn is_complete_by(family: &Family<'_>, status: &DeploymentStatus) -> bool {
    let wanted = wanted_replicas(family.spec);
    status.updated_replicas.unwrap_or(0) == wanted
        && status.replicas.unwrap_or(0) == wanted
        && status.available_replicas.unwrap_or(0) == wanted
        && status.observed_generation >= family.deployment.metadata.generation
}

fn counts(family: &Family<'_>, before: &DeploymentStatus) -> DeploymentStatus {
    let sum = |count: &dyn Fn(&ReplicaSetStatus) -> i32| -> i32 {
        family.members.iter().map(|set| count(&set.status())).sum()
    };
    let replicas = sum(&|status| status.replicas);
    let available = sum(&|status| status.available_replicas.unwrap_or(0));
    DeploymentStatus {
        observed_generation: family.deployment.metadata.generation,
        replicas: Some(replicas),
        updated_replicas: Some(family.newest().map_or(0, |newest| newest.status().replicas)),
        ready_replicas: Some(sum(&|status| status.ready_replicas.unwrap_or(0))),
        available_replicas: Some(available),
        unavailable_replicas: Some((replicas - available).max(0)),
        terminating_replicas: Some(sum(&|status| status.terminating_replicas.unwrap_or(0))),
        collision_count: before.collision_count,
        conditions: None,
    }
}

fn availability(family: &Family<'_>, status: &DeploymentStatus) -> Finding<'static> {
    let needed = wanted_replicas(family.spec) - room(family.spec).unavailable;
    if status.available_replicas.unwrap_or(0) >= needed {
        Finding {
            kind: AVAILABLE,
            status: "True",
            reason: "MinimumReplicasAvailable",
            message: "Deployment has minimum availability.".to_owned(),
        }
    } else {
        Finding {
            kind: AVAILABLE,
            status: "False",
            reason: "MinimumReplicasUnavailable",
            message: "Deployment does not have minimum availability.".to_owned(),
        }
    }
}

fn note_pause(
    spec: &DeploymentSpec,
    conditions: &mut Vec<DeploymentCondition>,
    paused: bool,
    now: Timestamp,
) {
    let reason = condition::get(conditions, PROGRESSING).and_then(|known| known.reason.clone());
    if deadline_seconds(spec).is_none() || reason.as_deref() == Some(condition::TIMED_OUT) {
        return;
    }
    let was_paused = reason.as_deref() == Some(condition::PAUSED);
    let (reason, message) = match (paused, was_paused) {
        (true, false) => (condition::PAUSED, "Deployment is paused"),
        (false, true) => (condition::RESUMED, "Deployment is resumed"),
        _ => return,
    };
    let finding = Finding {
        kind: PROGRESSING,
        status: "Unknown",
        reason,
        message: message.to_owned(),
    };
    condition::set(conditions, finding, now);
}

fn measure(
    family: &Family<'_>,
    before: &DeploymentStatus,
    after: &DeploymentStatus,
    conditions: &mut Vec<DeploymentCondition>,
    now: Timestamp,
) {
    let Some(deadline) = deadline_seconds(family.spec) else {
        return condition::remove(conditions, PROGRESSING);
    };
    // Leaving a pause restarts the deadline.
    note_pause(family.spec, conditions, false, now);
    let subject = family.newest().map_or_else(
        || format!("Deployment \"{}\"", name(family.deployment)),
        |newest| format!("ReplicaSet \"{}\"", newest.name()),
    );
    let finding = |status, reason, what: &str| Finding {
        kind: PROGRESSING,
        status,
        reason,
        message: format!("{subject} {what}."),
    };
    let known = condition::get(conditions, PROGRESSING);
    let was_complete = after.replicas == after.updated_replicas
        && known.and_then(|known| known.reason.as_deref()) == Some(condition::NEW_SET_AVAILABLE);
    if was_complete {
        return;
    }
    if is_complete_by(family, after) {
        condition::set(
            conditions,
            finding(
                "True",
                condition::NEW_SET_AVAILABLE,
                "has successfully progressed",
            ),
            now,
        );
    } else if known.is_none() || has_progressed(before, after) {
        let reason = match (known, family.newest()) {
            (None, Some(newest)) if newest.stored.metadata.uid.is_none() => "NewReplicaSetCreated",
            (None, Some(_)) => "FoundNewReplicaSet",
            _ => "ReplicaSetUpdated",
        };
        let what = match reason {
            "NewReplicaSetCreated" => "is being created",
            _ => "is progressing",
        };
        condition::replace(conditions, finding("True", reason, what), now);
    } else if known.is_some_and(|known| is_overdue(known, deadline, now)) {
        condition::set(
            conditions,
            finding("False", condition::TIMED_OUT, "has timed out progressing"),
            now,
        );
    }
}

/// Carries the failure of a set to the Deployment, the newest set's first.
fn note_failure(family: &Family<'_>, conditions: &mut Vec<DeploymentCondition>) {
    let failure = family
        .newest()
        .into_iter()
        .chain(family.old())
        .find_map(failure_of);
    condition::remove(conditions, REPLICA_FAILURE);
    conditions.extend(failure);
}

fn failure_of(set: &Member) -> Option<DeploymentCondition> {
    let conditions = set.status().conditions?;
    let failure = conditions
        .into_iter()
        .find(|condition| condition.type_ == REPLICA_FAILURE)?;
    Some(DeploymentCondition {
        type_: failure.type_,
        status: failure.status,
        reason: failure.reason,
        message: failure.message,
        last_update_time: failure.last_transition_time.clone(),
        last_transition_time: failure.last_transition_time,
    })
}

fn has_progressed(before: &DeploymentStatus, after: &DeploymentStatus) -> bool {
    let count = |count: Option<i32>| count.unwrap_or(0);
    let old = |status: &DeploymentStatus| count(status.replicas) - count(status.updated_replicas);
    count(after.updated_replicas) > count(before.updated_replicas)
        || old(after) < old(before)
        || count(after.ready_replicas) > count(before.ready_replicas)
        || count(after.available_replicas) > count(before.available_replicas)
}

fn is_overdue(known: &DeploymentCondition, deadline: SignedDuration, now: Timestamp) -> bool {
    match known.reason.as_deref() {
        Some(condition::NEW_SET_AVAILABLE) => false,
        Some(condition::TIMED_OUT) => true,
        _ => known
            .last_update_time
            .as_ref()
            .is_some_and(|last| now.duration_since(last.0) > deadline),
    }
}

/// Nothing tells us that time passed, so an unfinished rollout asks to be woken.
fn next_look(
    spec: &DeploymentSpec,
    after: &DeploymentStatus,
    family: &Family<'_>,
    conditions: &[DeploymentCondition],
    now: Timestamp,
) -> Option<Change> {
    let deadline = deadline_seconds(spec)?;
    let known = condition::get(conditions, PROGRESSING)?;
    if is_complete_by(family, after) || known.reason.as_deref() == Some(condition::TIMED_OUT) {
        return None;
    }
    let left = deadline - now.duration_since(known.last_update_time.as_ref()?.0)
        + SignedDuration::from_secs(1);
    Some(Change::Requeue {
        after: Duration::try_from(left).unwrap_or(Duration::from_secs(1)),
    })
}

fn deadline_seconds(spec: &DeploymentSpec) -> Option<SignedDuration> {
    spec.progress_deadline_seconds
        .filter(|&seconds| seconds != NO_DEADLINE_SECONDS)
        .map(|seconds| SignedDuration::from_secs(seconds.into()))
}

/// The API leaves zero counts out, so they compare as equal to absent.
fn normal(status: &DeploymentStatus) -> DeploymentStatus {
    let zero = |count: Option<i32>| count.filter(|&count| count != 0);
    let mut conditions = status.conditions.clone().unwrap_or_default();
    conditions.sort_by(|one, other| one.type_.cmp(&other.type_));
    DeploymentStatus {
        observed_generation: status.observed_generation,
        replicas: zero(status.replicas),
        updated_replicas: zero(status.updated_replicas),
        ready_replicas: zero(status.ready_replicas),
        available_replicas: zero(status.available_replicas),
        unavailable_replicas: zero(status.unavailable_replicas),
        terminating_replicas: zero(status.terminating_replicas),
        collision_count: status.collision_count,
        conditions: Some(conditions),
    }
}
