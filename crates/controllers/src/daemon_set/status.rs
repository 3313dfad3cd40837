//! The status of a `DaemonSet`.

use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetStatus};

use super::View;
use super::nodes::{Place, Places};
use crate::bounds::count;
use crate::change::Change;
use crate::pod;

/// Returns the status patch, if the status says something else today.
pub(super) fn change(view: &View<'_>, places: &Places) -> Option<Change> {
    let set = view.set;
    let before = set.status.clone().unwrap_or_default();
    let number = |accept: &dyn Fn(&Place) -> bool| {
        count(places.wanted().filter(|place| accept(place)).count())
    };
    let first = |place: &Place, accept: &dyn Fn(&k8s_openapi::api::core::v1::Pod) -> bool| {
        place.pods.first().is_some_and(|pod| accept(pod))
    };
    let desired = count(places.wanted().count());
    let available = number(&|place| first(place, &|pod| view.is_available(pod)));
    let misplaced = places
        .iter()
        .filter(|(_, place)| !place.should_run && !place.pods.is_empty());
    let wanted = DaemonSet {
        status: Some(DaemonSetStatus {
            desired_number_scheduled: desired,
            current_number_scheduled: number(&|place| !place.pods.is_empty()),
            number_misscheduled: count(misplaced.count()),
            number_ready: number(&|place| first(place, &pod::is_ready)),
            number_available: Some(available),
            number_unavailable: Some(desired - available),
            updated_number_scheduled: Some(number(&|place| {
                first(place, &|pod| view.is_updated(pod))
            })),
            observed_generation: set.metadata.generation.max(before.observed_generation),
            collision_count: before.collision_count,
            conditions: before.conditions,
        }),
        ..set.clone()
    };
    Change::update_status(set, &wanted)
}

/// Another object has the name of the next revision: another will be tried.
pub(super) fn count_collision(set: &DaemonSet, collisions: i32) -> Option<Change> {
    let mut wanted = set.clone();
    let status = wanted.status.get_or_insert_default();
    status.collision_count = Some(collisions);
    Change::update_status(set, &wanted)
}

/// Asks to be woken when a ready pod becomes available.
pub(super) fn recheck(view: &View<'_>, places: &Places) -> Option<Change> {
    let wait = view.spec.min_ready_seconds.unwrap_or(0);
    let due = places
        .wanted()
        .flat_map(|place| &place.pods)
        .filter_map(|pod| pod::available_at(pod, wait))
        .filter(|&at| at > view.now)
        .min()?;
    Some(Change::requeue_at(due, view.now))
}
