//! What a change of `replicas` means while one or several sets are active.

use super::replica_sets::{DESIRED_REPLICAS, Family, MAX_REPLICAS, Member};
use super::{is_recreate, room, wanted_replicas};

/// Tells whether the Deployment was resized since its sets were last scaled.
pub(super) fn is_due(family: &Family<'_>) -> bool {
    let wanted = wanted_replicas(family.spec);
    family
        .members
        .iter()
        .filter(|set| set.replicas > 0)
        .any(|set| {
            set.annotations
                .get(DESIRED_REPLICAS)
                .and_then(|desired| desired.parse::<i32>().ok())
                .is_some_and(|desired| desired != wanted)
        })
}

/// Gives each active set its share of the new size.
pub(super) fn scale(family: &mut Family<'_>) {
    let wanted = wanted_replicas(family.spec);
    if let Some(index) = family.active_or_latest() {
        if family.members[index].replicas == wanted {
            family.record_size(index);
        } else {
            family.scale(index, wanted);
        }
        return;
    }
    if is_saturated(family) {
        for index in family.old_indexes() {
            if family.members[index].replicas > 0 {
                family.scale(index, 0);
            }
        }
        return;
    }
    if !is_recreate(family.spec) {
        scale_in_proportion(family);
    }
}

/// The newest set has all replicas, wanted and available.
fn is_saturated(family: &Family<'_>) -> bool {
    let wanted = wanted_replicas(family.spec);
    family.newest().is_some_and(|newest| {
        let desired: Option<i32> = newest
            .annotations
            .get(DESIRED_REPLICAS)
            .and_then(|desired| desired.parse().ok());
        newest.replicas == wanted && desired == Some(wanted) && newest.available() == wanted
    })
}

/// Shares the difference out by size; what rounding leaves goes to the biggest set.
fn scale_in_proportion(family: &mut Family<'_>) {
    let wanted = wanted_replicas(family.spec);
    let allowed = if wanted > 0 {
        wanted + room(family.spec).surge
    } else {
        0
    };
    let to_add = allowed - family.total();
    let order = family.active_by_size(to_add > 0);
    let mut added = 0;
    let mut sizes = Vec::new();
    for &index in &order {
        let share = share(family, &family.members[index], to_add, added);
        added += share;
        sizes.push((index, family.members[index].replicas + share));
    }
    if let Some((_, biggest)) = sizes.first_mut() {
        *biggest = (*biggest + to_add - added).max(0);
    }
    for (index, size) in sizes {
        family.scale(index, size);
    }
}

fn share(family: &Family<'_>, set: &Member, to_add: i32, added: i32) -> i32 {
    if set.replicas == 0 || to_add == 0 || to_add == added {
        return 0;
    }
    let left = to_add - added;
    let fraction = fraction(family, set);
    if to_add > 0 {
        fraction.min(left)
    } else {
        fraction.max(left)
    }
}

/// How much the set grows when it keeps its share of the Deployment.
fn fraction(family: &Family<'_>, set: &Member) -> i32 {
    let wanted = wanted_replicas(family.spec);
    if wanted == 0 {
        return -set.replicas;
    }
    let most_now = i64::from(wanted + room(family.spec).surge);
    let most_before = set
        .annotations
        .get(MAX_REPLICAS)
        .and_then(|most| most.parse::<i64>().ok())
        .filter(|&most| most > 0)
        .unwrap_or_else(|| {
            family
                .deployment
                .status
                .as_ref()
                .and_then(|status| status.replicas)
                .map_or(0, i64::from)
                .max(1)
        });
    let scaled = (i64::from(set.replicas) * most_now * 2 + most_before) / (most_before * 2);
    i32::try_from(scaled).unwrap_or(i32::MAX) - set.replicas
}
