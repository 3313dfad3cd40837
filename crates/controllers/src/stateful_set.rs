//! What a `StatefulSet` asks for: pods with numbers that keep their names and
//! their volumes, made and replaced one after the other.

mod claims;
mod identity;
mod replicas;
mod rollout;
mod status;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};

use crate::change::Change;
use crate::claim::claim;
use crate::revision::{Collision, History, Revision, Style};
use crate::selector;
use replicas::{Crew, Plan};

/// The label of a pod that names the revision it was made from.
const REVISION_LABEL: &str = "controller-revision-hash";
const STYLE: Style = Style {
    hash_label: "controller.kubernetes.io/hash",
};

/// What is known about one `StatefulSet`. All lists are of its namespace.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    pub set: &'a StatefulSet,
    pub pods: &'a [Arc<Pod>],
    pub revisions: &'a [Arc<ControllerRevision>],
    pub claims: &'a [Arc<PersistentVolumeClaim>],
    /// Whether every creation and deletion asked for earlier was seen in
    /// `pods`. While it was not, no more are asked for.
    pub settled: bool,
}

/// The templates between which the set moves.
struct Revisions {
    current: Revision,
    update: Revision,
}

/// Returns the changes that bring the set one step nearer to its spec.
pub fn decide(inputs: &Inputs<'_>, now: Timestamp) -> Vec<Change> {
    let set = inputs.set;
    let Some(spec) = &set.spec else {
        return Vec::new();
    };
    if selector::is_empty(&spec.selector) {
        return Vec::new();
    }
    let adopted = claim(set, &spec.selector, inputs.revisions);
    let mut changes = adopted.changes;
    let history = History::new(adopted.objects, STYLE);
    let members: Vec<Arc<Pod>> = inputs
        .pods
        .iter()
        .filter(|pod| identity::ordinal(set, pod).is_some())
        .cloned()
        .collect();
    let claimed = claim(set, &spec.selector, &members);
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
    if set.metadata.deletion_timestamp.is_none() {
        changes.extend(newest.changes);
    }
    let current = before
        .current_revision
        .as_deref()
        .and_then(|known| history.named(known))
        .unwrap_or_else(|| newest.revision.clone());
    let revisions = Revisions {
        current,
        update: newest.revision,
    };

    let crew = Crew::new(inputs, &revisions, claimed.objects, now);
    let mut planned = Plan::default();
    let mut replaced = 0;
    if set.metadata.deletion_timestamp.is_none() && inputs.settled {
        planned = crew.plan();
        if !planned.is_blocked {
            let update = rollout::plan(&crew);
            replaced = update.replaced_current;
            planned.changes.extend(update.changes);
        }
    }
    changes.extend(status::change(&crew, replaced));
    changes.extend(planned.changes);
    let limit = spec.revision_history_limit.unwrap_or(10);
    changes.extend(history.surplus(limit, |revision| {
        [&revisions.current.name, &revisions.update.name].contains(&&revision.name)
            || crew.uses(&revision.name)
    }));
    changes.extend(crew.recheck());
    changes
}

fn wanted_replicas(spec: &StatefulSetSpec) -> i32 {
    spec.replicas.unwrap_or(1)
}

fn first_ordinal(spec: &StatefulSetSpec) -> i32 {
    spec.ordinals
        .as_ref()
        .and_then(|ordinals| ordinals.start)
        .unwrap_or(0)
}

fn is_parallel(spec: &StatefulSetSpec) -> bool {
    spec.pod_management_policy.as_deref() == Some("Parallel")
}

fn is_on_delete(spec: &StatefulSetSpec) -> bool {
    spec.update_strategy
        .as_ref()
        .and_then(|strategy| strategy.type_.as_deref())
        == Some("OnDelete")
}

/// Pods below this ordinal stay at the current revision.
fn partition(spec: &StatefulSetSpec) -> Option<i32> {
    if is_on_delete(spec) {
        return None;
    }
    spec.update_strategy
        .as_ref()
        .and_then(|strategy| strategy.rolling_update.as_ref())
        .map(|rolling| rolling.partition.unwrap_or(0))
}
