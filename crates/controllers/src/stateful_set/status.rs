//! The status of a `StatefulSet`.

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetStatus};
use k8s_openapi::api::core::v1::Pod;

use super::replicas::{Crew, is_running_and_ready};
use super::{identity, is_on_delete, wanted_replicas};
use crate::bounds::count;
use crate::change::Change;

/// Returns the status patch, if the status says something else today.
///
/// `replaced_current` pods of the current revision are about to be deleted.
pub(super) fn change(crew: &Crew<'_>, replaced_current: i32) -> Option<Change> {
    let set = crew.set;
    let before = set.status.clone().unwrap_or_default();
    let number =
        |accept: &dyn Fn(&Pod) -> bool| count(crew.pods().filter(|pod| accept(pod)).count());
    let staying = |pod: &Pod, revision: &str| {
        pod.metadata.deletion_timestamp.is_none() && identity::revision(pod) == revision
    };
    let revisions = crew.revisions;
    let updated = number(&|pod| staying(pod, &revisions.update.name));
    let replicas = number(&|_| true);
    let ready = number(&is_running_and_ready);
    let mut status = StatefulSetStatus {
        replicas,
        ready_replicas: Some(ready),
        available_replicas: Some(number(&|pod| crew.is_available(pod))),
        current_replicas: Some(
            (number(&|pod| staying(pod, &revisions.current.name)) - replaced_current).max(0),
        ),
        updated_replicas: Some(updated),
        current_revision: Some(revisions.current.name.clone()),
        update_revision: Some(revisions.update.name.clone()),
        collision_count: Some(before.collision_count.unwrap_or(0)),
        observed_generation: set.metadata.generation.max(before.observed_generation),
        conditions: before.conditions,
    };
    let wanted = wanted_replicas(crew.spec);
    let is_complete = [updated, ready, replicas] == [wanted; 3];
    if !is_on_delete(crew.spec) && is_complete {
        status.current_replicas = status.updated_replicas;
        status.current_revision.clone_from(&status.update_revision);
    }
    let wanted = StatefulSet {
        status: Some(status),
        ..set.clone()
    };
    Change::update_status(set, &wanted)
}

/// Another object has the name of the next revision: another will be tried.
pub(super) fn count_collision(set: &StatefulSet, collisions: i32) -> Option<Change> {
    let mut wanted = set.clone();
    let status = wanted.status.get_or_insert_default();
    status.collision_count = Some(collisions);
    Change::update_status(set, &wanted)
}
