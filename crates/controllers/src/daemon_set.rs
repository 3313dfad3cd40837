//! What a `DaemonSet` asks for: one pod on every node that takes it.

mod nodes;
mod pods;
mod rollout;
mod status;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, DaemonSetSpec};
use k8s_openapi::api::core::v1::{Node, Pod};

use crate::change::{Change, EventKind, reference};
use crate::claim::claim;
use crate::revision::{Collision, History, Revision, Style};
use crate::selector;
use nodes::{Place, Places};

/// The label of a pod that carries the hash of the revision it was made from.
const HASH_LABEL: &str = "controller-revision-hash";
const STYLE: Style = Style {
    hash_label: HASH_LABEL,
};
/// Pods created or deleted by one decision at most.
const BURST: usize = 250;

/// What is known about one `DaemonSet`.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    pub set: &'a DaemonSet,
    /// All nodes of the cluster.
    pub nodes: &'a [Arc<Node>],
    /// All pods of its namespace, whoever owns them.
    pub pods: &'a [Arc<Pod>],
    /// All revisions of its namespace.
    pub revisions: &'a [Arc<ControllerRevision>],
    /// Whether every creation and deletion asked for earlier was seen in
    /// `pods`. While it was not, no more are asked for.
    pub settled: bool,
    /// Per node, until when failed pods stay: one that fails at once would
    /// otherwise be replaced without end.
    pub held_back: &'a BTreeMap<String, Timestamp>,
}

/// Returns the changes that bring the set one step nearer to its spec.
pub fn decide(inputs: &Inputs<'_>, now: Timestamp) -> Vec<Change> {
    let set = inputs.set;
    let Some(spec) = &set.spec else {
        return Vec::new();
    };
    if selector::is_empty(&spec.selector) {
        let message =
            "This daemon set is selecting all pods. A non-empty selector is required.".to_owned();
        return vec![Change::event(
            set,
            EventKind::Warning,
            "SelectingAll",
            message,
        )];
    }
    if set.metadata.deletion_timestamp.is_some() {
        return Vec::new();
    }
    let adopted = claim(set, &spec.selector, inputs.revisions);
    let mut changes = adopted.changes;
    let history = History::new(adopted.objects, STYLE);
    let claimed = claim(set, &spec.selector, inputs.pods);
    changes.extend(claimed.changes);

    let before = set.status.clone().unwrap_or_default();
    let collisions = before.collision_count.unwrap_or(0);
    let newest = match history.newest(set, &spec.template, collisions, inputs.revisions) {
        Ok(newest) => newest,
        Err(Collision { count }) => {
            changes.extend(status::count_collision(set, count));
            return changes;
        }
    };
    changes.extend(newest.changes);
    let view = View {
        set,
        spec,
        revision: &newest.revision,
        now,
    };
    let places = Places::new(&view, inputs.nodes, &claimed.objects);
    changes.extend(status::change(&view, &places));
    if inputs.settled {
        let mut planned = manage(&view, &places, inputs.held_back);
        if planned.is_empty() {
            planned = rollout::plan(&view, &places);
        }
        changes.extend(planned.into_changes(&view));
        let limit = spec.revision_history_limit.unwrap_or(10);
        changes.extend(history.surplus(limit, |revision| {
            revision.name == newest.revision.name
                || claimed
                    .objects
                    .iter()
                    .any(|pod| pods::hash(pod) == revision.hash)
        }));
    }
    let held_back = inputs.held_back.values().filter(|&&at| at > now).min();
    changes.extend(held_back.map(|&at| Change::requeue_at(at, now)));
    changes.extend(status::recheck(&view, &places));
    changes
}

/// What every part of a decision looks at.
struct View<'a> {
    set: &'a DaemonSet,
    spec: &'a DaemonSetSpec,
    /// The revision of the present template.
    revision: &'a Revision,
    now: Timestamp,
}

/// Pods to make and to end.
#[derive(Default)]
struct Plan {
    create_on: BTreeSet<String>,
    delete: Vec<Arc<Pod>>,
    told: Vec<Change>,
}

impl Plan {
    fn is_empty(&self) -> bool {
        self.create_on.is_empty() && self.delete.is_empty()
    }

    fn into_changes(self, view: &View<'_>) -> Vec<Change> {
        let set = view.set;
        let made = self.create_on.iter().take(BURST).map(|node| {
            let pod = pods::create(set, view.spec, view.revision, node);
            Change::create(&pod, Some(reference(set)))
        });
        let ended = self
            .delete
            .iter()
            .take(BURST)
            .map(|pod| Change::delete(pod.as_ref(), Some(reference(set))));
        self.told.iter().cloned().chain(made).chain(ended).collect()
    }
}

/// Makes the pods that are missing and ends those that are too many, have
/// ended, or are where they should not be.
fn manage(view: &View<'_>, places: &Places, held_back: &BTreeMap<String, Timestamp>) -> Plan {
    let mut plan = Plan::default();
    for (node, place) in places.iter() {
        if place.should_run && place.pods.is_empty() {
            plan.create_on.insert(node.clone());
        } else if place.may_stay {
            let is_held_back = held_back.get(node).is_some_and(|&at| at > view.now);
            prune(view, node, place, is_held_back, &mut plan);
        } else {
            let leaving = place.pods.iter().filter(|pod| !pods::is_leaving(pod));
            plan.delete.extend(leaving.cloned());
        }
    }
    let lost = places.waiting_for_lost_nodes.iter();
    plan.delete
        .extend(lost.filter(|pod| !pods::is_leaving(pod)).cloned());
    plan
}

fn prune(view: &View<'_>, node: &str, place: &Place, is_held_back: bool, plan: &mut Plan) {
    let mut running = Vec::new();
    for pod in place.pods.iter().filter(|pod| !pods::is_leaving(pod)) {
        let (kind, reason, what) = match crate::pod::phase(pod) {
            "Failed" if is_held_back => continue,
            "Failed" => (EventKind::Warning, "FailedDaemonPod", "failed"),
            "Succeeded" => (EventKind::Normal, "SucceededDaemonPod", "succeeded"),
            _ => {
                running.push(Arc::clone(pod));
                continue;
            }
        };
        let verb = if what == "failed" { "kill" } else { "delete" };
        let message = format!(
            "Found {what} daemon pod {}/{} on node {node}, will try to {verb} it",
            pod.metadata.namespace.as_deref().unwrap_or_default(),
            crate::change::name(pod.as_ref()),
        );
        plan.told
            .push(Change::event(view.set, kind, reason, message));
        plan.delete.push(Arc::clone(pod));
    }
    if rollout::surges(view.spec) {
        plan.delete.extend(rollout::superfluous(view, &running));
    } else {
        plan.delete.extend(running.into_iter().skip(1));
    }
}

impl View<'_> {
    fn is_available(&self, pod: &Pod) -> bool {
        crate::pod::available_at(pod, self.spec.min_ready_seconds.unwrap_or(0))
            .is_some_and(|at| at <= self.now)
    }

    fn is_updated(&self, pod: &Pod) -> bool {
        pods::hash(pod) == self.revision.hash
    }
}
