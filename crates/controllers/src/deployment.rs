//! What a Deployment asks for: which of its `ReplicaSets` has how many replicas.

mod condition;
mod history;
mod replica_sets;
mod rollout;
mod scaling;
#[cfg(test)]
mod simulation;
mod status;
mod template;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::bounds::{Rounding, resolve};
use crate::change::{Change, EventKind, uid};
use crate::claim::claim;
use crate::ownership::controller_of;
use crate::{pod, selector};
use replica_sets::Family;

pub use history::REVISION as REVISION_ANNOTATION;

/// What is known about one Deployment.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    pub deployment: &'a Deployment,
    /// All `ReplicaSets` of its namespace, whoever owns them.
    pub replica_sets: &'a [Arc<ReplicaSet>],
    /// All pods of its namespace; only `Recreate` looks at them.
    pub pods: &'a [Arc<Pod>],
}

/// Returns the changes that bring the Deployment one step nearer to its spec.
pub fn decide(inputs: &Inputs<'_>, now: Timestamp) -> Vec<Change> {
    let deployment = inputs.deployment;
    let Some(spec) = &deployment.spec else {
        return Vec::new();
    };
    if selector::is_empty(&spec.selector) {
        let message =
            "This deployment is selecting all pods. A non-empty selector is required.".to_owned();
        return vec![Change::event(
            deployment,
            EventKind::Warning,
            "SelectingAll",
            message,
        )];
    }
    let claimed = claim(deployment, &spec.selector, inputs.replica_sets);
    let mut changes = claimed.changes;
    let mut family = Family::new(deployment, claimed.objects);

    if deployment.metadata.deletion_timestamp.is_some() {
        changes.extend(status::change(&family, status::Progress::Untouched, now));
        return changes;
    }
    if is_paused(spec) || scaling::is_due(&family) {
        family.adopt_revision();
        scaling::scale(&mut family);
        if is_paused(spec) {
            history::clean_up(&mut family);
        }
        let progress = status::Progress::Paused {
            paused: is_paused(spec),
        };
        return finish(changes, family, progress, now);
    }
    if let Some(collision) = family.colliding(inputs.replica_sets) {
        changes.extend(status::count_collision(deployment, collision));
        return changes;
    }
    if is_recreate(spec) {
        let old_pods_run = pods_of_old_sets(&family, inputs.pods);
        rollout::recreate(&mut family, old_pods_run);
    } else {
        rollout::rolling_update(&mut family);
    }
    finish(changes, family, status::Progress::Measured, now)
}

fn finish(
    mut changes: Vec<Change>,
    family: Family<'_>,
    progress: status::Progress,
    now: Timestamp,
) -> Vec<Change> {
    let status = status::change(&family, progress, now);
    changes.extend(family.into_changes());
    changes.extend(status);
    changes
}

/// Tells whether a pod of an old set may still be running.
fn pods_of_old_sets(family: &Family<'_>, pods: &[Arc<Pod>]) -> bool {
    let old: Vec<&str> = family.old().map(|set| uid(set.stored.as_ref())).collect();
    pods.iter().filter(|pod| !pod::is_terminal(pod)).any(|pod| {
        controller_of(&pod.metadata).is_some_and(|owner| old.contains(&owner.uid.as_str()))
    })
}

fn is_paused(spec: &DeploymentSpec) -> bool {
    spec.paused == Some(true)
}

fn is_recreate(spec: &DeploymentSpec) -> bool {
    spec.strategy
        .as_ref()
        .and_then(|strategy| strategy.type_.as_deref())
        == Some("Recreate")
}

fn wanted_replicas(spec: &DeploymentSpec) -> i32 {
    spec.replicas.unwrap_or(1)
}

/// How far a rolling update may go beyond and below the wanted replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Room {
    surge: i32,
    unavailable: i32,
}

/// Resolves percentages: surge rounds up, unavailable rounds down, and they
/// are never both zero, because then nothing could ever move.
fn room(spec: &DeploymentSpec) -> Room {
    if is_recreate(spec) {
        return Room {
            surge: 0,
            unavailable: 0,
        };
    }
    let replicas = wanted_replicas(spec);
    let rolling = spec
        .strategy
        .as_ref()
        .and_then(|strategy| strategy.rolling_update.as_ref());
    let quarter = IntOrString::String("25%".to_owned());
    let surge = rolling
        .and_then(|rolling| rolling.max_surge.as_ref())
        .unwrap_or(&quarter);
    let unavailable = rolling
        .and_then(|rolling| rolling.max_unavailable.as_ref())
        .unwrap_or(&quarter);
    let mut room = Room {
        surge: resolve(surge, replicas, Rounding::Up),
        unavailable: resolve(unavailable, replicas, Rounding::Down),
    };
    if room.surge == 0 && room.unavailable == 0 {
        room.unavailable = 1;
    }
    room.unavailable = room.unavailable.min(replicas);
    room
}
