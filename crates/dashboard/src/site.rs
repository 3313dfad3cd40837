//! One cluster as pages see it: small rows of every kind, and how old they are.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use foreshore_model::SiteName;
use jiff::Timestamp;
use kube::Client;
use tokio::sync::watch;

use crate::fold::Fold;
use crate::project::node::Node;
use crate::project::other::{Autoscaler, Budget};
use crate::project::pod::Pod;
use crate::project::workload::Workload;
use crate::usage::{Taken, Usage};

/// Rows by `namespace/name`.
pub(crate) type Rows<T> = BTreeMap<String, Arc<T>>;

/// Everything that is kept of a cluster.
#[derive(Debug, Default)]
pub(crate) struct Kinds {
    pub(crate) pods: Rows<Pod>,
    pub(crate) nodes: Rows<Node>,
    pub(crate) deployments: Rows<Workload>,
    pub(crate) stateful_sets: Rows<Workload>,
    pub(crate) daemon_sets: Rows<Workload>,
    pub(crate) replica_sets: Rows<Workload>,
    pub(crate) autoscalers: Rows<Autoscaler>,
    pub(crate) budgets: Rows<Budget>,
    pub(crate) leases: Rows<Option<Timestamp>>,
    pub(crate) events: Fold,
    /// What is taken; none while nobody measures it.
    pub(crate) usage: Option<Arc<Usage>>,
}

impl Kinds {
    pub(crate) fn workloads(&self) -> impl Iterator<Item = &Arc<Workload>> {
        self.deployments
            .values()
            .chain(self.stateful_sets.values())
            .chain(self.daemon_sets.values())
    }

    /// Returns the workload a pod belongs to, past its ReplicaSet.
    pub(crate) fn workload_of(&self, pod: &Pod) -> Option<&Arc<Workload>> {
        let (kind, name) = pod.controller.as_ref()?;
        let key = format!("{}/{name}", pod.namespace);
        match kind.as_str() {
            "ReplicaSet" => {
                let (_, deployment) = self.replica_sets.get(&key)?.controller.as_ref()?;
                self.deployments
                    .get(&format!("{}/{deployment}", pod.namespace))
            }
            "StatefulSet" => self.stateful_sets.get(&key),
            "DaemonSet" => self.daemon_sets.get(&key),
            _ => None,
        }
    }

    /// Returns service and environment of a pod: by its own labels or its workload's.
    pub(crate) fn place_of(&self, pod: &Pod) -> (Option<String>, Option<String>) {
        if pod.service.is_some() && pod.environment.is_some() {
            return (pod.service.clone(), pod.environment.clone());
        }
        let workload = self.workload_of(pod);
        let of = |own: &Option<String>, pick: fn(&Workload) -> &Option<String>| {
            own.clone().or_else(|| pick(workload?).clone())
        };
        (
            of(&pod.service, |workload| &workload.service),
            of(&pod.environment, |workload| &workload.environment),
        )
    }

    /// What a pod takes at the moment, if that is measured.
    pub(crate) fn taken_by(&self, pod: &Pod) -> Option<Taken> {
        let key = format!("{}/{}", pod.namespace, pod.name);
        self.usage.as_ref()?.pods.get(&key).copied()
    }

    pub(crate) fn autoscaler_of(&self, workload: &Workload) -> Option<&Arc<Autoscaler>> {
        self.autoscalers.values().find(|scaler| {
            scaler.namespace == workload.namespace
                && scaler.target.0 == workload.kind
                && scaler.target.1 == workload.name
        })
    }

    /// When a node was last heard: its lease, or its status where there is none.
    pub(crate) fn heartbeat(&self, node: &Node) -> Option<Timestamp> {
        let lease = self
            .leases
            .get(&format!("kube-node-lease/{}", node.name))
            .and_then(|lease| **lease);
        lease.max(node.heartbeat)
    }
}

/// Whether a cluster answers, and since when not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Contact {
    /// When the cluster last answered.
    pub(crate) last: Option<Timestamp>,
    /// Since when it does not, and what it said.
    pub(crate) lost: Option<(Timestamp, String)>,
    /// Kinds that are listed completely, of those that are watched.
    pub(crate) complete: usize,
}

/// One watched cluster.
pub(crate) struct Site {
    pub(crate) name: SiteName,
    pub(crate) client: Client,
    kinds: RwLock<Kinds>,
    contact: RwLock<Contact>,
    changed: watch::Sender<u64>,
}

impl std::fmt::Debug for Site {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Site")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Site {
    pub(crate) fn new(name: SiteName, client: Client, changed: watch::Sender<u64>) -> Self {
        Self {
            name,
            client,
            kinds: RwLock::default(),
            contact: RwLock::default(),
            changed,
        }
    }

    pub(crate) fn kinds(&self) -> RwLockReadGuard<'_, Kinds> {
        // A panic while writing leaves at worst one row out; the next event brings it.
        self.kinds.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes rows and wakes whoever shows them.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Kinds)) {
        change(&mut self.kinds.write().unwrap_or_else(PoisonError::into_inner));
        self.wake();
    }

    pub(crate) fn contact(&self) -> Contact {
        self.contact
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Notes that the cluster answered.
    pub(crate) fn heard(&self, now: Timestamp) {
        let mut contact = self.contact.write().unwrap_or_else(PoisonError::into_inner);
        contact.last = Some(now);
        let was_lost = contact.lost.take().is_some();
        drop(contact);
        if was_lost {
            self.wake();
        }
    }

    /// Notes that the cluster did not answer; the first time counts.
    pub(crate) fn missed(&self, now: Timestamp, why: String) {
        let mut contact = self.contact.write().unwrap_or_else(PoisonError::into_inner);
        if contact.lost.is_some() {
            return;
        }
        // What is shown is as old as the last answer.
        let since = contact.last.unwrap_or(now);
        contact.lost = Some((since, why));
        drop(contact);
        self.wake();
    }

    /// Notes that one more kind is there in full.
    pub(crate) fn completed(&self) {
        self.contact
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .complete += 1;
        self.wake();
    }

    fn wake(&self) {
        self.changed.send_modify(|version| *version += 1);
    }
}
