//! What all pods of one node share.

use std::sync::Arc;

use foreshore_model::chain;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::Semaphore;

use crate::addresses::{Addresses, node_address};
use crate::events::{Events, Happening, Weight};
use crate::folders::{PodFolder, PodRecord, known_pods};
use crate::groups::Groups;
use crate::images::Images;
use crate::options::Options;
use crate::pod::environment::Facts;

/// Images pulled at the same time.
const PULLS_AT_ONCE: usize = 4;

#[derive(Debug)]
pub(crate) struct Context {
    pub options: Options,
    pub node_name: String,
    pub node_index: u8,
    pub addresses: Addresses,
    pub events: Events,
    pub groups: Groups,
    pub images: Images,
    pub pulls: Arc<Semaphore>,
    /// Places for programs run by people.
    pub sessions: Arc<Semaphore>,
}

impl Context {
    pub(crate) fn new(
        options: Options,
        node_name: String,
        node_index: u8,
        addresses: Addresses,
        events: Events,
        groups: Groups,
    ) -> Self {
        let pulls = Arc::new(Semaphore::new(PULLS_AT_ONCE));
        let images = Images::open(&options.root);
        Self {
            options,
            node_name,
            node_index,
            addresses,
            events,
            groups,
            images,
            pulls,
            sessions: Arc::new(Semaphore::new(crate::kubelet::SESSIONS_MAX)),
        }
    }

    #[expect(
        clippy::unused_self,
        reason = "the node's clock, one place to replace it"
    )]
    pub(crate) fn now(&self) -> Timestamp {
        foreshore_model::clock::now()
    }

    /// Every pod there is a record of; damaged ones are left out.
    pub(crate) fn records(&self) -> Vec<PodRecord> {
        let record = |pod: PodFolder| match pod.record() {
            Ok(record) => record,
            Err(error) => {
                tracing::warn!(error = chain(&error), "record of a pod cannot be read");
                None
            }
        };
        known_pods(&self.options.root)
            .into_iter()
            .filter_map(record)
            .collect()
    }

    /// The record of the pod of this name; of two, the older one is on its way out.
    pub(crate) fn record(&self, namespace: &str, name: &str) -> Option<PodRecord> {
        self.records()
            .into_iter()
            .filter(|record| record.namespace == namespace && record.name == name)
            .max_by_key(|record| record.state.accepted_at)
    }

    pub(crate) fn node_address(&self) -> std::net::Ipv4Addr {
        node_address(self.node_index)
    }

    /// What programs are told; addresses as they can be used by them.
    pub(crate) fn facts(&self, pod_address: &str) -> Facts {
        let ground = &self.options.ground;
        let pod_address = pod_address.parse().map_or_else(
            |_| pod_address.to_owned(),
            |address| ground.on_machine(address).to_string(),
        );
        let whole = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        Facts {
            pod_address,
            node_address: ground.on_machine(self.node_address()).to_string(),
            node_name: self.node_name.clone(),
            node_cpu_millis: whole(self.options.capacity.cpu_millis),
            node_memory_bytes: whole(self.options.capacity.memory_bytes),
        }
    }

    pub(crate) fn normal(
        &self,
        pod: &Pod,
        container: Option<&str>,
        reason: &'static str,
        message: String,
    ) {
        self.tell(Weight::Normal, pod, container, reason, message);
    }

    pub(crate) fn warn(
        &self,
        pod: &Pod,
        container: Option<&str>,
        reason: &'static str,
        message: String,
    ) {
        self.tell(Weight::Warning, pod, container, reason, message);
    }

    fn tell(
        &self,
        weight: Weight,
        pod: &Pod,
        container: Option<&str>,
        reason: &'static str,
        message: String,
    ) {
        let happening = Happening {
            weight,
            reason,
            message,
            container: container.map(str::to_owned),
        };
        self.events.tell(pod, happening, self.now());
    }
}
