//! Which nodes are possible at all, and the sentence when none is.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, Pod};

use crate::cluster::{Cluster, HostPort, Seat, host_ports};
use crate::resources::{self, Amounts};
use crate::spread::Spread;
use crate::{affinity, score, spread, taint, unsupported};

/// Why a pod cannot be placed now, worded as other schedulers do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Unschedulable {
    pub message: String,
}

/// The pod with everything about it that does not depend on the node.
struct Wish<'a> {
    pod: &'a Pod,
    requests: Amounts,
    ports: Vec<HostPort>,
    spreads: Vec<Spread>,
    neighbours: Neighbours,
}

impl Cluster {
    /// Returns the name of the best node for `pod`.
    ///
    /// The same cluster and pod give the same answer; ties go to the first name.
    pub fn pick(&self, pod: &Pod) -> Result<String, Unschedulable> {
        if let Some(field) = unsupported::field(pod) {
            let message = format!("field `{field}` is not supported by this scheduler");
            return Err(Unschedulable { message });
        }
        let wish = Wish {
            pod,
            requests: resources::requests(pod),
            ports: host_ports(pod),
            spreads: spread::required(self, pod),
            neighbours: Neighbours::of(self, pod),
        };
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        let mut total = 0_usize;
        let mut possible = Vec::new();
        for (name, node, seat) in self.nodes() {
            total += 1;
            let refusals = wish.refusals(node, seat);
            if refusals.is_empty() {
                possible.push(name);
            }
            for reason in refusals {
                *reasons.entry(reason).or_default() += 1;
            }
        }
        if let Some(best) = score::best(self, pod, &possible) {
            return Ok(best.clone());
        }
        if total == 0 {
            return Err(Unschedulable {
                message: "no nodes available to schedule pods".to_owned(),
            });
        }
        let mut sentences: Vec<String> = reasons
            .into_iter()
            .map(|(reason, count)| format!("{count} {reason}"))
            .collect();
        sentences.sort();
        let mut message = format!("0/{total} nodes are available: {}.", sentences.join(", "));
        if wants_preemption(pod) {
            message.push_str(" preemption: not done by this scheduler.");
        }
        Err(Unschedulable { message })
    }
}

/// A pod of a higher priority would elsewhere push others out.
fn wants_preemption(pod: &Pod) -> bool {
    pod.spec.as_ref().is_some_and(|spec| {
        spec.priority.is_some_and(|priority| priority > 0)
            && spec.preemption_policy.as_deref() != Some("Never")
    })
}

impl Wish<'_> {
    /// Returns why the node is impossible: the first check that fails speaks.
    fn refusals(&self, node: &Node, seat: &Seat) -> Vec<String> {
        let cordoned = node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true);
        if cordoned && !taint::tolerates_unschedulable(self.pod) {
            return vec!["node(s) were unschedulable".to_owned()];
        }
        if taint::is_untolerated(self.pod, node, &["NoSchedule", "NoExecute"]) {
            return vec!["node(s) had untolerated taint(s)".to_owned()];
        }
        if !affinity::accepts_node(self.pod, node) {
            return vec!["node(s) didn't match Pod's node affinity/selector".to_owned()];
        }
        if self
            .ports
            .iter()
            .any(|port| seat.ports.iter().any(|taken| conflicts(port, taken)))
        {
            return vec!["node(s) didn't have free ports for the requested pod ports".to_owned()];
        }
        let missing = self.missing(seat);
        if !missing.is_empty() {
            return missing;
        }
        if let Some(reason) = self.spreads.iter().find_map(|spread| spread.refusal(node)) {
            return vec![reason.to_owned()];
        }
        self.neighbours
            .refusal(node)
            .map(str::to_owned)
            .into_iter()
            .collect()
    }

    fn missing(&self, seat: &Seat) -> Vec<String> {
        let amount = |amounts: &Amounts, name: &str| amounts.get(name).copied().unwrap_or(0);
        let mut missing = Vec::new();
        let seats = amount(&seat.allocatable, "pods") / 1000;
        if i128::try_from(seat.pods.len()).unwrap_or(i128::MAX) >= seats {
            missing.push("Too many pods".to_owned());
        }
        for (name, &wanted) in &self.requests {
            let free = amount(&seat.allocatable, name) - amount(&seat.reserved, name);
            if wanted > 0 && wanted > free {
                missing.push(format!("Insufficient {name}"));
            }
        }
        missing
    }
}

fn conflicts(one: &HostPort, other: &HostPort) -> bool {
    const ANY: &str = "0.0.0.0";
    one.2 == other.2 && one.1 == other.1 && (one.0 == other.0 || one.0 == ANY || other.0 == ANY)
}

/// Topology values near or away from which the pod has to be.
#[derive(Default)]
struct Neighbours {
    /// Per required term: key, and the values where a matching pod runs. None:
    /// the pod is the first of its own kind and may go anywhere with the key.
    near: Vec<(String, Option<Vec<String>>)>,
    away: Vec<(String, String)>,
    repelled: Vec<(String, String)>,
}

impl Neighbours {
    fn of(cluster: &Cluster, pod: &Pod) -> Self {
        let label = |node: &Node, key: &str| node.metadata.labels.as_ref()?.get(key).cloned();
        let mut neighbours = Self::default();
        for term in affinity::near(pod) {
            let values: Vec<String> = cluster
                .placed()
                .filter(|(other, _)| affinity::speaks_of(term, pod, other))
                .filter_map(|(_, node)| label(node, &term.topology_key))
                .collect();
            let is_first = values.is_empty() && affinity::speaks_of(term, pod, pod);
            neighbours
                .near
                .push((term.topology_key.clone(), (!is_first).then_some(values)));
        }
        for term in affinity::away(pod) {
            let values = cluster
                .placed()
                .filter(|(other, _)| affinity::speaks_of(term, pod, other))
                .filter_map(|(_, node)| {
                    Some((term.topology_key.clone(), label(node, &term.topology_key)?))
                });
            neighbours.away.extend(values);
        }
        for (other, node) in cluster.repellent() {
            let values = affinity::away(other)
                .iter()
                .filter(|term| affinity::speaks_of(term, other, pod))
                .filter_map(|term| {
                    Some((term.topology_key.clone(), label(node, &term.topology_key)?))
                });
            neighbours.repelled.extend(values);
        }
        neighbours
    }

    fn refusal(&self, node: &Node) -> Option<&'static str> {
        let label = |key: &String| {
            node.metadata
                .labels
                .as_ref()
                .and_then(|labels| labels.get(key))
        };
        let hits =
            |pairs: &[(String, String)]| pairs.iter().any(|(key, value)| label(key) == Some(value));
        let is_near = |(key, values): &(String, Option<Vec<String>>)| {
            label(key)
                .is_some_and(|value| values.as_ref().is_none_or(|values| values.contains(value)))
        };
        if !self.near.iter().all(is_near) {
            Some("node(s) didn't match pod affinity rules")
        } else if hits(&self.away) {
            Some("node(s) didn't match pod anti-affinity rules")
        } else if hits(&self.repelled) {
            Some("node(s) didn't satisfy existing pods anti-affinity rules")
        } else {
            None
        }
    }
}
