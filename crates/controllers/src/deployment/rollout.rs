//! The step from old sets to the set with the present template.

use super::replica_sets::{Family, Member};
use super::{history, room, status, wanted_replicas};

/// Moves replicas within the room that surge and unavailability leave.
///
/// One call either grows the new set or shrinks old ones, never both: the next
/// call sees what came of it.
pub(super) fn rolling_update(family: &mut Family<'_>) {
    family.ensure_newest();
    if !resize_newest(family) && !shrink_old(family) && status::is_complete(family) {
        history::clean_up(family);
    }
}

/// Stops all old pods before the first new one is started.
pub(super) fn recreate(family: &mut Family<'_>, old_pods_run: bool) {
    family.adopt_revision();
    let active: Vec<_> = family
        .old_indexes()
        .into_iter()
        .filter(|&index| family.members[index].replicas > 0)
        .collect();
    if !active.is_empty() {
        for index in active {
            family.scale(index, 0);
        }
        return;
    }
    if old_pods_run || family.old().any(|set| set.status().replicas > 0) {
        return;
    }
    family.ensure_newest();
    family.scale_newest(wanted_replicas(family.spec));
    if status::is_complete(family) {
        history::clean_up(family);
    }
}

/// Grows the new set up to the surge limit, or shrinks it to what is wanted.
fn resize_newest(family: &mut Family<'_>) -> bool {
    let wanted = wanted_replicas(family.spec);
    let current = family.newest().map_or(0, |newest| newest.replicas);
    let size = if current >= wanted {
        wanted
    } else {
        let most = wanted + room(family.spec).surge;
        current + (most - family.total()).clamp(0, wanted - current)
    };
    family.scale_newest(size);
    size != current
}

fn shrink_old(family: &mut Family<'_>) -> bool {
    let before = family.old_total();
    if before == 0 {
        return false;
    }
    let needed = wanted_replicas(family.spec) - room(family.spec).unavailable;
    let newest_unavailable = family
        .newest()
        .map_or(0, |newest| newest.replicas - newest.available());
    let spare = family.total() - needed - newest_unavailable;
    if spare <= 0 {
        return false;
    }
    shrink_unhealthy(family, spare);
    shrink_healthy(family, needed);
    family.old_total() != before
}

/// Takes replicas that serve nobody first: their loss costs nothing.
fn shrink_unhealthy(family: &mut Family<'_>, mut spare: i32) {
    for index in family.old_indexes() {
        let set = &family.members[index];
        let taken = (set.replicas - set.available()).min(spare);
        if taken > 0 {
            let size = set.replicas - taken;
            family.scale(index, size);
            spare -= taken;
        }
    }
}

/// Takes available replicas as long as enough are left over all sets.
fn shrink_healthy(family: &mut Family<'_>, needed: i32) {
    let mut spare = family.members.iter().map(Member::available).sum::<i32>() - needed;
    for index in family.old_indexes() {
        let set = &family.members[index];
        let taken = set.replicas.min(spare);
        if taken > 0 {
            let size = set.replicas - taken;
            family.scale(index, size);
            spare -= taken;
        }
    }
}
