//! Replacing daemon pods of an older revision: first the old goes, or, with a
//! surge, first the new comes.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{DaemonSetSpec, RollingUpdateDaemonSet};
use k8s_openapi::api::core::v1::Pod;

use super::nodes::{Place, Places};
use super::{Plan, View, pods};
use crate::bounds::{Rounding, count, resolve};
use crate::pod;

/// Plans the next replacements.
pub(super) fn plan(view: &View<'_>, places: &Places) -> Plan {
    let is_on_delete = view
        .spec
        .update_strategy
        .as_ref()
        .and_then(|strategy| strategy.type_.as_deref())
        == Some("OnDelete");
    if is_on_delete {
        return Plan::default();
    }
    let room = Room::new(view.spec, count(places.wanted().count()));
    if room.surge > 0 {
        make_new_first(view, places, room.surge)
    } else {
        end_old_first(view, places, room.unavailable)
    }
}

/// Whether two pods of the set may be on one node during a rollout.
pub(super) fn surges(spec: &DaemonSetSpec) -> bool {
    rolling(spec)
        .and_then(|rolling| rolling.max_surge.as_ref())
        .is_some_and(|surge| resolve(surge, 100, Rounding::Up) > 0)
}

fn rolling(spec: &DaemonSetSpec) -> Option<&RollingUpdateDaemonSet> {
    spec.update_strategy.as_ref()?.rolling_update.as_ref()
}

struct Room {
    surge: usize,
    unavailable: usize,
}

impl Room {
    fn new(spec: &DaemonSetSpec, wanted: i32) -> Self {
        let resolved = |value: Option<&_>, fallback| {
            let number = value.map_or(fallback, |value| resolve(value, wanted, Rounding::Up));
            usize::try_from(number).unwrap_or(0)
        };
        let rolling = rolling(spec);
        let surge = resolved(rolling.and_then(|rolling| rolling.max_surge.as_ref()), 0);
        let unavailable = rolling.and_then(|rolling| rolling.max_unavailable.as_ref());
        let unavailable = resolved(unavailable, 1);
        Self {
            surge,
            // Both zero would mean that nothing ever moves.
            unavailable: if surge == 0 {
                unavailable.max(1)
            } else {
                unavailable
            },
        }
    }
}

/// The old and the new pod of a node; none if there are several of a sort.
struct Pair<'a> {
    old: Option<&'a Arc<Pod>>,
    new: Option<&'a Arc<Pod>>,
}

fn pair<'a>(view: &View<'_>, place: &'a Place) -> Option<Pair<'a>> {
    let staying = || place.pods.iter().filter(|pod| !pods::is_leaving(pod));
    let mut new = staying().filter(|pod| view.is_updated(pod));
    let mut old = staying().filter(|pod| !view.is_updated(pod));
    let pair = Pair {
        new: new.next(),
        old: old.next(),
    };
    (new.next().is_none() && old.next().is_none()).then_some(pair)
}

fn end_old_first(view: &View<'_>, places: &Places, most_unavailable: usize) -> Plan {
    let mut unavailable = 0;
    let mut at_once = Vec::new();
    let mut in_turn = Vec::new();
    for (_, place) in places.iter().filter(|(_, place)| !place.pods.is_empty()) {
        match pair(view, place) {
            Some(Pair {
                old: None,
                new: Some(new),
            }) => unavailable += usize::from(!view.is_available(new)),
            Some(Pair {
                old: Some(old),
                new: None,
            }) => {
                if view.is_available(old) {
                    in_turn.push(Arc::clone(old));
                } else {
                    at_once.push(Arc::clone(old));
                    unavailable += 1;
                }
            }
            _ => unavailable += 1,
        }
    }
    in_turn.truncate(most_unavailable.saturating_sub(unavailable));
    Plan {
        delete: at_once.into_iter().chain(in_turn).collect(),
        ..Plan::default()
    }
}

fn make_new_first(view: &View<'_>, places: &Places, most_surging: usize) -> Plan {
    let mut plan = Plan::default();
    let mut surging = 0;
    let mut in_turn = Vec::new();
    for (node, place) in places.iter().filter(|(_, place)| !place.pods.is_empty()) {
        match pair(view, place) {
            None => surging += 1,
            Some(Pair { old: None, .. }) => {}
            Some(Pair {
                old: Some(old),
                new: None,
            }) => {
                if view.is_available(old) {
                    in_turn.push(node.clone());
                } else {
                    plan.create_on.insert(node.clone());
                }
            }
            Some(Pair {
                old: Some(old),
                new: Some(new),
            }) => {
                if view.is_available(new) {
                    plan.delete.push(Arc::clone(old));
                } else {
                    surging += 1;
                }
            }
        }
    }
    let room = most_surging.saturating_sub(surging);
    plan.create_on.extend(in_turn.into_iter().take(room));
    plan
}

/// With a surge, what one node has beyond one old and one new pod, and the old
/// one as soon as it is not needed any more.
pub(super) fn superfluous(view: &View<'_>, running: &[Arc<Pod>]) -> Vec<Arc<Pod>> {
    if running.len() <= 1 {
        return Vec::new();
    }
    let (new, old): (Vec<_>, Vec<_>) = running
        .iter()
        .cloned()
        .partition(|pod| view.is_updated(pod));
    let mut superfluous: Vec<_> = running.to_vec();
    superfluous.retain(|pod| {
        let is_first = |list: &[Arc<Pod>]| list.first().is_some_and(|one| Arc::ptr_eq(one, pod));
        !is_first(&new) && !is_first(&old)
    });
    if let (Some(new), Some(old)) = (new.first(), old.first())
        && (!pod::is_ready(old) || view.is_available(new))
    {
        superfluous.push(Arc::clone(old));
    }
    superfluous
}
