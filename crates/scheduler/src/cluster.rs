//! Nodes with what is reserved on them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};

use crate::resources::{self, Amounts};

/// A host port a pod occupies: address, protocol, number.
pub(crate) type HostPort = (String, String, i32);

/// One node and the pods bound to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seat {
    pub(crate) node: Option<Arc<Node>>,
    pub(crate) allocatable: Amounts,
    pub(crate) reserved: Amounts,
    /// What the pods are taken to use when nodes are compared.
    pub(crate) used: Amounts,
    pub(crate) ports: Vec<HostPort>,
    /// By uid; ended pods hold nothing and are not here.
    pub(crate) pods: BTreeMap<String, Arc<Pod>>,
    /// Pods per controlling owner.
    pub(crate) families: HashMap<String, usize>,
}

/// What the scheduler knows about the cluster.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    pub(crate) seats: BTreeMap<String, Seat>,
    /// Where each bound pod sits, by uid.
    places: HashMap<String, String>,
    /// Uids of bound pods that refuse neighbours.
    pub(crate) repellent: BTreeSet<String>,
}

impl Cluster {
    /// Adds or replaces a node.
    pub fn set_node(&mut self, node: Arc<Node>) {
        let Some(name) = node.metadata.name.clone() else {
            return;
        };
        let seat = self.seats.entry(name).or_default();
        seat.allocatable = resources::allocatable(&node);
        seat.node = Some(node);
    }

    /// Removes a node. Its pods are still counted should it return.
    pub fn remove_node(&mut self, name: &str) {
        if let Some(seat) = self.seats.get_mut(name) {
            seat.node = None;
            if seat.pods.is_empty() {
                self.seats.remove(name);
            }
        }
    }

    /// Takes note of a pod: where it is bound, or that it ended.
    pub fn set_pod(&mut self, pod: Arc<Pod>) {
        let Some(uid) = pod.metadata.uid.clone() else {
            return;
        };
        self.remove_pod(&uid);
        let ended = pod
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref())
            .is_some_and(|phase| matches!(phase, "Succeeded" | "Failed"));
        let place = pod
            .spec
            .as_ref()
            .and_then(|spec| spec.node_name.clone())
            .filter(|name| !name.is_empty());
        let (Some(place), false) = (place, ended) else {
            return;
        };
        let seat = self.seats.entry(place.clone()).or_default();
        let requests = resources::requests(&pod);
        resources::add(&mut seat.reserved, &requests);
        resources::add(&mut seat.used, &resources::typical(&requests));
        seat.ports.extend(host_ports(&pod));
        if let Some(family) = family(&pod) {
            *seat.families.entry(family.to_owned()).or_default() += 1;
        }
        if !crate::affinity::away(&pod).is_empty() {
            self.repellent.insert(uid.clone());
        }
        seat.pods.insert(uid.clone(), pod);
        self.places.insert(uid, place);
    }

    /// Forgets a pod.
    pub fn remove_pod(&mut self, uid: &str) {
        let Some(place) = self.places.remove(uid) else {
            return;
        };
        self.repellent.remove(uid);
        let Some(seat) = self.seats.get_mut(&place) else {
            return;
        };
        let Some(pod) = seat.pods.remove(uid) else {
            return;
        };
        let requests = resources::requests(&pod);
        resources::subtract(&mut seat.reserved, &requests);
        resources::subtract(&mut seat.used, &resources::typical(&requests));
        for port in host_ports(&pod) {
            if let Some(index) = seat.ports.iter().position(|taken| *taken == port) {
                seat.ports.swap_remove(index);
            }
        }
        if let Some(count) = family(&pod).and_then(|family| seat.families.get_mut(family)) {
            *count -= 1;
        }
        if seat.node.is_none() && seat.pods.is_empty() {
            self.seats.remove(&place);
        }
    }

    /// All nodes that exist, by name.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (&String, &Arc<Node>, &Seat)> {
        self.seats
            .iter()
            .filter_map(|(name, seat)| seat.node.as_ref().map(|node| (name, node, seat)))
    }

    /// All bound pods with the labels of their node.
    pub(crate) fn placed(&self) -> impl Iterator<Item = (&Arc<Pod>, &Arc<Node>)> {
        self.nodes()
            .flat_map(|(_, node, seat)| seat.pods.values().map(move |pod| (pod, node)))
    }

    /// The bound pods that refuse neighbours, with their node.
    pub(crate) fn repellent(&self) -> impl Iterator<Item = (&Arc<Pod>, &Arc<Node>)> {
        self.repellent.iter().filter_map(|uid| {
            let seat = self.seats.get(self.places.get(uid)?)?;
            Some((seat.pods.get(uid)?, seat.node.as_ref()?))
        })
    }
}

/// The uid of the controller that made the pod.
pub(crate) fn family(pod: &Pod) -> Option<&str> {
    pod.metadata
        .owner_references
        .iter()
        .flatten()
        .find(|owner| owner.controller == Some(true))
        .map(|owner| owner.uid.as_str())
}

pub(crate) fn host_ports(pod: &Pod) -> Vec<HostPort> {
    pod.spec
        .iter()
        .flat_map(|spec| &spec.containers)
        .flat_map(|container| container.ports.iter().flatten())
        .filter_map(|port| {
            let number = port.host_port.filter(|&number| number > 0)?;
            let address = port
                .host_ip
                .clone()
                .filter(|ip| !ip.is_empty())
                .unwrap_or_else(|| "0.0.0.0".to_owned());
            Some((
                address,
                port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
                number,
            ))
        })
        .collect()
}
