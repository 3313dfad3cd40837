//! Replacing pods of an older revision, highest number first.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::replicas::Crew;
use super::{first_ordinal, identity, is_on_delete, partition, wanted_replicas};
use crate::bounds::{Rounding, resolve};
use crate::change::{Change, reference};

/// Deletions, and how many of them take a pod of the current revision.
#[derive(Default)]
pub(super) struct Update {
    pub(super) changes: Vec<Change>,
    pub(super) replaced_current: i32,
}

/// Plans the deletions that let the next pods be made from the new revision.
pub(super) fn plan(crew: &Crew<'_>) -> Update {
    let mut update = Update::default();
    if is_on_delete(crew.spec) {
        return update;
    }
    let from = first_ordinal(crew.spec) + partition(crew.spec).unwrap_or(0);
    let unavailable = crew
        .replicas
        .values()
        .filter(|pod| crew.is_unavailable(pod.as_ref()))
        .count();
    let room = max_unavailable(crew).saturating_sub(unavailable);
    let outdated = crew.replicas.range(from..).rev().filter_map(|(_, pod)| {
        pod.as_ref().filter(|pod| {
            identity::revision(pod) != crew.revisions.update.name
                && pod.metadata.deletion_timestamp.is_none()
        })
    });
    for pod in outdated.take(room) {
        if identity::revision(pod) == crew.revisions.current.name {
            update.replaced_current += 1;
        }
        let told = Some(reference(crew.set));
        update.changes.push(Change::delete(pod.as_ref(), told));
    }
    update
}

/// How many pods may be unavailable during a rollout; at least one.
fn max_unavailable(crew: &Crew<'_>) -> usize {
    let replicas = wanted_replicas(crew.spec);
    let most = crew
        .spec
        .update_strategy
        .as_ref()
        .and_then(|strategy| strategy.rolling_update.as_ref())
        .and_then(|rolling| rolling.max_unavailable.as_ref())
        .map_or(1, |most: &IntOrString| {
            resolve(most, replicas, Rounding::Down)
        });
    usize::try_from(most.max(1)).unwrap_or(1)
}
