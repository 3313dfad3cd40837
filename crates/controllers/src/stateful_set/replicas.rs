//! The pods of a `StatefulSet`: those that should be, and those beyond.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};

use super::{Inputs, Revisions, claims, first_ordinal, identity, partition, wanted_replicas};
use crate::change::{Change, name, reference};
use crate::pod;

/// Everything a decision about one set looks at.
pub(super) struct Crew<'a> {
    pub(super) set: &'a StatefulSet,
    pub(super) spec: &'a StatefulSetSpec,
    pub(super) revisions: &'a Revisions,
    claims: BTreeMap<&'a str, &'a PersistentVolumeClaim>,
    /// By ordinal; none where a pod is still to be made.
    pub(super) replicas: BTreeMap<i32, Option<Arc<Pod>>>,
    /// Pods outside the wanted range, highest ordinal first.
    pub(super) condemned: Vec<(i32, Arc<Pod>)>,
    now: Timestamp,
}

/// Changes, and whether something has to happen before more may be asked for.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) changes: Vec<Change>,
    pub(super) is_blocked: bool,
}

impl<'a> Crew<'a> {
    pub(super) fn new(
        inputs: &Inputs<'a>,
        revisions: &'a Revisions,
        pods: Vec<Arc<Pod>>,
        now: Timestamp,
    ) -> Self {
        let set = inputs.set;
        let spec = set
            .spec
            .as_ref()
            .expect("decide returns early without a spec");
        let first = first_ordinal(spec);
        let mut replicas: BTreeMap<_, _> = (first..first + wanted_replicas(spec))
            .map(|ordinal| (ordinal, None))
            .collect();
        let mut condemned = Vec::new();
        for pod in pods {
            let Some(ordinal) = identity::ordinal(set, &pod) else {
                continue;
            };
            match replicas.get_mut(&ordinal) {
                Some(place) => *place = Some(pod),
                None => condemned.push((ordinal, pod)),
            }
        }
        condemned.sort_by_key(|(ordinal, _)| std::cmp::Reverse(*ordinal));
        let claims = inputs.claims.iter();
        Self {
            set,
            spec,
            revisions,
            claims: claims
                .map(|claim| (name(claim.as_ref()), claim.as_ref()))
                .collect(),
            replicas,
            condemned,
            now,
        }
    }

    /// All pods there are.
    pub(super) fn pods(&self) -> impl Iterator<Item = &Arc<Pod>> {
        let living = self.replicas.values().flatten();
        living.chain(self.condemned.iter().map(|(_, pod)| pod))
    }

    pub(super) fn uses(&self, revision: &str) -> bool {
        self.pods().any(|pod| identity::revision(pod) == revision)
    }

    pub(super) fn is_available(&self, pod: &Pod) -> bool {
        is_running_and_ready(pod)
            && pod::available_at(pod, self.spec.min_ready_seconds.unwrap_or(0))
                .is_some_and(|at| at <= self.now)
    }

    /// Missing, starting, not yet available or on its way out.
    pub(super) fn is_unavailable(&self, pod: Option<&Arc<Pod>>) -> bool {
        pod.is_none_or(|pod| !self.is_available(pod) || pod.metadata.deletion_timestamp.is_some())
    }

    /// Makes what is missing, then ends what is too much. In order, one at a
    /// time, unless the set says that order does not matter.
    pub(super) fn plan(&self) -> Plan {
        let in_order = !super::is_parallel(self.spec);
        let mut plan = Plan::default();
        for (&ordinal, pod) in &self.replicas {
            let waits = self.keep(ordinal, pod.as_ref(), in_order, &mut plan.changes);
            if waits && in_order {
                plan.is_blocked = true;
                return plan;
            }
        }
        for (ordinal, pod) in &self.condemned {
            let follow = claims::follow_policy(self.set, &self.claims, pod, *ordinal, true);
            plan.changes.extend(follow);
        }
        let first_unavailable = self.first_unavailable();
        for (_, pod) in &self.condemned {
            let is_leaving = pod.metadata.deletion_timestamp.is_some();
            let may_leave = !in_order
                || self.is_available(pod)
                || first_unavailable == Some(name(pod.as_ref()));
            if !is_leaving && may_leave {
                plan.changes
                    .push(Change::delete(pod.as_ref(), Some(reference(self.set))));
            }
            if in_order {
                plan.is_blocked = true;
                return plan;
            }
        }
        plan
    }

    /// Plans for one pod that should be; returns whether later ones must wait.
    fn keep(
        &self,
        ordinal: i32,
        pod: Option<&Arc<Pod>>,
        in_order: bool,
        changes: &mut Vec<Change>,
    ) -> bool {
        let Some(pod) = pod else {
            if !claims::is_stale(self.set, &self.claims, ordinal) {
                let missing = claims::create_missing(self.set, &self.claims, ordinal);
                changes.extend(missing);
                let revision = self.revision_of(ordinal);
                let fresh = identity::create(self.set, revision, ordinal);
                changes.push(Change::create(&fresh, Some(reference(self.set))));
            }
            return true;
        };
        let is_leaving = pod.metadata.deletion_timestamp.is_some();
        if pod::is_terminal(pod) {
            if !is_leaving {
                changes.push(Change::delete(pod.as_ref(), Some(reference(self.set))));
            }
            return true;
        }
        if pod::phase(pod) == "Pending" {
            let missing = claims::create_missing(self.set, &self.claims, ordinal);
            changes.extend(missing);
        }
        if in_order && (is_leaving || !self.is_available(pod)) {
            return true;
        }
        let relabelled = identity::relabelled(self.set, pod, ordinal);
        changes.extend(relabelled.and_then(|wanted| Change::update(pod.as_ref(), &wanted)));
        let follow = claims::follow_policy(self.set, &self.claims, pod, ordinal, false);
        changes.extend(follow);
        false
    }

    /// The first pod that is not available, from the lowest wanted ordinal up;
    /// one still to be made has no name to compare with.
    fn first_unavailable(&self) -> Option<&str> {
        let living = self.replicas.values().map(Option::as_ref);
        let beyond = self.condemned.iter().rev().map(|(_, pod)| Some(pod));
        living
            .chain(beyond)
            .find(|pod| self.is_unavailable(*pod))
            .flatten()
            .map(|pod| name(pod.as_ref()))
    }

    /// The revision a pod made now gets.
    fn revision_of(&self, ordinal: i32) -> &'a crate::revision::Revision {
        let keeps_current = match partition(self.spec) {
            Some(partition) => ordinal < first_ordinal(self.spec) + partition,
            None if super::is_on_delete(self.spec) => false,
            None => {
                let status = self.set.status.as_ref();
                let current = status.and_then(|status| status.current_replicas);
                ordinal < first_ordinal(self.spec) + current.unwrap_or(0)
            }
        };
        if keeps_current {
            &self.revisions.current
        } else {
            &self.revisions.update
        }
    }

    /// Asks to be woken when a ready pod becomes available.
    pub(super) fn recheck(&self) -> Option<Change> {
        let wait = self.spec.min_ready_seconds.unwrap_or(0);
        let due = self
            .pods()
            .filter_map(|pod| pod::available_at(pod, wait))
            .filter(|&at| at > self.now)
            .min()?;
        Some(Change::requeue_at(due, self.now))
    }
}

pub(super) fn is_running_and_ready(pod: &Pod) -> bool {
    pod::phase(pod) == "Running" && pod::is_ready(pod)
}
