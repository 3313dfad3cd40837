//! What a `ReplicaSet` asks for: as many active pods as its spec says.

mod order;
pub(crate) use order::victims;
mod status;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;

use crate::change::{Change, EventKind, reference, uid};
use crate::claim::claim;
use crate::ownership::controller_of;
use crate::template::new_pod;
use crate::{pod, selector};

/// Pods created or deleted by one decision at most, so that one huge set
/// cannot starve the others.
const BURST: usize = 500;

/// What is known about one `ReplicaSet`.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    pub replica_set: &'a ReplicaSet,
    /// All pods of its namespace, whoever owns them.
    pub pods: &'a [Arc<Pod>],
    /// Whether every creation and deletion asked for earlier was seen in
    /// `pods`. While it was not, no more are asked for.
    pub settled: bool,
    /// Why the last creation or deletion was refused, if it was.
    pub failure: Option<&'a str>,
}

/// Returns the changes that bring the set nearer to its replicas.
pub fn decide(inputs: &Inputs<'_>, now: Timestamp) -> Vec<Change> {
    let set = inputs.replica_set;
    let Some(spec) = &set.spec else {
        return Vec::new();
    };
    if selector::is_empty(&spec.selector) {
        let message =
            "This ReplicaSet selects all pods; a non-empty selector is required.".to_owned();
        return vec![Change::event(
            set,
            EventKind::Warning,
            "SelectingAll",
            message,
        )];
    }
    let living: Vec<Arc<Pod>> = inputs
        .pods
        .iter()
        .filter(|pod| !pod::is_terminal(pod))
        .cloned()
        .collect();
    let claimed = claim(set, &spec.selector, &living);
    let (active, terminating): (Vec<_>, Vec<_>) = claimed
        .objects
        .into_iter()
        .partition(|pod| pod::is_active(pod));

    let mut changes = claimed.changes;
    changes.extend(status::change(inputs, &active, terminating.len(), now));
    if inputs.settled && set.metadata.deletion_timestamp.is_none() {
        changes.extend(scale(inputs, &active, now));
    }
    changes.extend(status::recheck(set, &active, now));
    changes
}

/// The replicas the set wants; the API defaults an absent number to one.
pub(crate) fn wanted_replicas(set: &ReplicaSet) -> i32 {
    set.spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1)
}

fn scale(inputs: &Inputs<'_>, active: &[Arc<Pod>], now: Timestamp) -> Vec<Change> {
    let set = inputs.replica_set;
    let wanted = usize::try_from(wanted_replicas(set)).unwrap_or(0);
    if active.len() < wanted {
        let missing = (wanted - active.len()).min(BURST);
        let template = set
            .spec
            .as_ref()
            .and_then(|spec| spec.template.clone())
            .unwrap_or_default();
        let pod = new_pod(&template, set);
        return (0..missing)
            .map(|_| Change::create(&pod, Some(reference(set))))
            .collect();
    }
    let excess = (active.len() - wanted).min(BURST);
    if excess == 0 {
        return Vec::new();
    }
    let related = related_pods(set, inputs.pods);
    order::victims(active, &related, excess, now)
        .into_iter()
        .map(|pod| Change::delete(pod.as_ref(), Some(reference(set))))
        .collect()
}

/// Pods of all sets that share this one's controller: during a rollout the old
/// and the new set of a Deployment count as one when nodes are evened out.
fn related_pods(set: &ReplicaSet, pods: &[Arc<Pod>]) -> Vec<Arc<Pod>> {
    let own = uid(set);
    let selected = |pod: &&Arc<Pod>| {
        controller_of(&pod.metadata).is_some_and(|owner| {
            owner.uid == own || (owner.kind == "ReplicaSet" && shares_family(set, &owner.name))
        })
    };
    pods.iter()
        .filter(|pod| pod::is_active(pod))
        .filter(selected)
        .cloned()
        .collect()
}

/// Sets of one Deployment are named after it, followed by the template hash.
fn shares_family(set: &ReplicaSet, other: &str) -> bool {
    controller_of(&set.metadata).is_some_and(|deployment| {
        other
            .strip_prefix(deployment.name.as_str())
            .and_then(|rest| rest.strip_prefix('-'))
            .is_some_and(|hash| !hash.contains('-'))
    })
}
