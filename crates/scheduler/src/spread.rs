//! Topology spread: how unevenly the pods of a group may be distributed.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, Pod, TopologySpreadConstraint};

use crate::affinity;
use crate::cluster::Cluster;

/// One required constraint with what is known about its domains.
#[derive(Debug)]
pub(crate) struct Spread {
    key: String,
    max_skew: i64,
    counts: BTreeMap<String, i64>,
    own: i64,
}

/// Returns the constraints of the pod that must hold.
pub(crate) fn required(cluster: &Cluster, pod: &Pod) -> Vec<Spread> {
    constraints(pod)
        .filter(|constraint| constraint.when_unsatisfiable == "DoNotSchedule")
        .map(|constraint| Spread::new(cluster, pod, constraint))
        .collect()
}

/// Returns the constraints that should hold where possible.
pub(crate) fn preferred(cluster: &Cluster, pod: &Pod) -> Vec<Spread> {
    constraints(pod)
        .filter(|constraint| constraint.when_unsatisfiable == "ScheduleAnyway")
        .map(|constraint| Spread::new(cluster, pod, constraint))
        .collect()
}

fn constraints(pod: &Pod) -> impl Iterator<Item = &TopologySpreadConstraint> {
    pod.spec
        .iter()
        .flat_map(|spec| spec.topology_spread_constraints.iter().flatten())
}

impl Spread {
    fn new(cluster: &Cluster, pod: &Pod, constraint: &TopologySpreadConstraint) -> Self {
        let key = &constraint.topology_key;
        let selected = |other: &Pod| {
            other.metadata.namespace == pod.metadata.namespace
                && other.metadata.deletion_timestamp.is_none()
                && constraint.label_selector.as_ref().is_some_and(|selector| {
                    affinity::selects(selector, other.metadata.labels.as_ref())
                })
        };
        let mut counts = BTreeMap::new();
        for (_, node, seat) in cluster.nodes() {
            // Nodes the pod could never use do not drag the minimum down.
            if !affinity::accepts_node(pod, node) {
                continue;
            }
            if let Some(domain) = node
                .metadata
                .labels
                .as_ref()
                .and_then(|labels| labels.get(key))
            {
                let here = seat.pods.values().filter(|other| selected(other)).count();
                *counts.entry(domain.clone()).or_default() +=
                    i64::try_from(here).unwrap_or(i64::MAX);
            }
        }
        Self {
            key: key.clone(),
            max_skew: constraint.max_skew.into(),
            counts,
            own: i64::from(selected(pod)),
        }
    }

    /// Returns why the node would break the constraint, if it would.
    pub(crate) fn refusal(&self, node: &Node) -> Option<&'static str> {
        let Some(count) = self.count(node) else {
            return Some(
                "node(s) didn't match pod topology spread constraints (missing required label)",
            );
        };
        let least = self.counts.values().min().copied().unwrap_or(0);
        (count + self.own - least > self.max_skew)
            .then_some("node(s) didn't match pod topology spread constraints")
    }

    /// The pods of the group in the node's domain; none if it is in no domain.
    pub(crate) fn count(&self, node: &Node) -> Option<i64> {
        let domain = node.metadata.labels.as_ref()?.get(&self.key)?;
        self.counts.get(domain).copied()
    }
}
