//! The best of the possible nodes: preferences first, then spreading, then room.

use std::cmp::Reverse;

use k8s_openapi::api::core::v1::{Node, Pod};

use crate::cluster::{Cluster, Seat, family};
use crate::resources::{self, Amounts, CPU, MEMORY};
use crate::{affinity, spread, taint};

/// Returns the best node; among equals the first by name.
pub(crate) fn best<'a>(
    cluster: &Cluster,
    pod: &Pod,
    possible: &[&'a String],
) -> Option<&'a String> {
    let spreads = spread::preferred(cluster, pod);
    let wanted = resources::typical(&resources::requests(pod));
    let neighbours = neighbour_weights(cluster, pod);
    let rank = |name: &&'a String| {
        let seat = &cluster.seats[*name];
        let node = seat
            .node
            .as_ref()
            .expect("only existing nodes are possible");
        let preferred = affinity::node_preference(pod, node) + preference(&neighbours, node);
        let avoided = taint::untolerated(pod, node, &["PreferNoSchedule"]);
        let crowded: i64 = spreads
            .iter()
            .map(|spread| spread.count(node).unwrap_or(i64::MAX / 8))
            .sum();
        let siblings = family(pod)
            .and_then(|family| seat.families.get(family))
            .copied()
            .unwrap_or(0);
        (
            Reverse(preferred),
            avoided,
            crowded,
            siblings,
            Reverse(room(seat, &wanted)),
            *name,
        )
    };
    possible.iter().min_by_key(|name| rank(name)).copied()
}

/// Weight by topology key and value, from preferred affinity to placed pods.
fn neighbour_weights(cluster: &Cluster, pod: &Pod) -> Vec<(String, String, i64)> {
    let mut weights = Vec::new();
    for (weight, term) in affinity::pod_preferences(pod) {
        for (other, node) in cluster.placed() {
            if affinity::speaks_of(term, pod, other)
                && let Some(value) = node
                    .metadata
                    .labels
                    .as_ref()
                    .and_then(|labels| labels.get(&term.topology_key))
            {
                weights.push((term.topology_key.clone(), value.clone(), weight));
            }
        }
    }
    weights
}

fn preference(weights: &[(String, String, i64)], node: &Node) -> i64 {
    let label = |key: &String| {
        node.metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get(key))
    };
    weights
        .iter()
        .filter(|(key, value, _)| label(key) == Some(value))
        .map(|(_, _, weight)| weight)
        .sum()
}

/// How much would be left, in thousandths of the node, processor and memory averaged.
fn room(seat: &Seat, wanted: &Amounts) -> i128 {
    let left = |name: &str| {
        let total = seat.allocatable.get(name).copied().unwrap_or(0);
        let used =
            seat.used.get(name).copied().unwrap_or(0) + wanted.get(name).copied().unwrap_or(0);
        if total <= 0 {
            0
        } else {
            (total - used).max(0) * 1000 / total
        }
    };
    i128::midpoint(left(CPU), left(MEMORY))
}
