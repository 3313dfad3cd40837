//! What a node is told when it starts.

use std::collections::BTreeMap;
use std::path::PathBuf;

use foreshore_image::{PullOptions, Store};
use foreshore_sys::Ground;
use foreshore_sys::cgroup::Layout;

/// Enough for any honest pod, and far from what a machine can bear.
const POD_PROCESSES_MAX: u64 = 4096;

/// How containers are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuntimeKind {
    /// Namespaces and the image's own root file system.
    Sandbox,
    /// Plain processes; what needs a file system of its own is refused.
    Process,
    /// Nothing runs, pods only seem to.
    Simulated,
}

impl RuntimeKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Process => "process",
            Self::Simulated => "simulated",
        }
    }
}

impl std::fmt::Display for RuntimeKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What a node says it has room for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capacity {
    pub cpu_millis: u64,
    pub memory_bytes: u64,
    pub pods: u32,
}

impl Capacity {
    /// What this machine has, and kubelet's limit of 110 pods.
    pub fn of_this_machine() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let info = rustix::system::sysinfo();
        Self {
            cpu_millis: u64::try_from(processors).unwrap_or(1) * 1000,
            memory_bytes: u64::from(info.mem_unit) * info.totalram,
            pods: 110,
        }
    }
}

/// Everything a node needs. There are no defaults: whoever starts a node
/// decides, and [`Options::new`] fills in what has only one sensible value.
#[derive(Clone)]
pub struct Options {
    /// The Kubernetes API to serve, embedded or real.
    pub client: kube::Client,
    /// With [`RuntimeKind::Simulated`] and several nodes, the stem of their names.
    pub node_name: String,
    pub runtime: RuntimeKind,
    pub ground: Ground,
    /// State of this node; a restarted node finds its pods here.
    pub root: PathBuf,
    /// Third number of the node's addresses: `10.244.<index>.0/24`.
    pub node_index: u8,
    pub capacity: Capacity,
    /// Where limits and usage of containers are kept by the kernel.
    pub control_groups: Layout,
    /// Processes one pod may have, all its containers together.
    pub pod_processes_max: u64,
    /// Labels of the node beside those every node has.
    pub labels: BTreeMap<String, String>,
    /// The binary that has `pod-shim` as a mode.
    pub shim: PathBuf,
    pub images: Store,
    pub pull: PullOptions,
    /// Certificate authority (PEM) whose clients may use the kubelet
    /// endpoints; without one everybody in the ground may.
    pub kubelet_client_ca: Option<Vec<u8>>,
    /// Virtual nodes run by this agent; only with [`RuntimeKind::Simulated`].
    pub simulated_nodes: u8,
    /// Address of the cluster's name server, for `/etc/resolv.conf`.
    pub dns_address: std::net::Ipv4Addr,
    pub dns_domain: String,
}

impl Options {
    pub fn new(
        client: kube::Client,
        node_name: &str,
        runtime: RuntimeKind,
        ground: Ground,
        root: PathBuf,
        shim: PathBuf,
        images: Store,
    ) -> Self {
        Self {
            client,
            node_name: node_name.to_owned(),
            runtime,
            ground,
            root,
            node_index: 0,
            capacity: Capacity::of_this_machine(),
            // A machine whose mounts cannot be read gives no limits, which the node tells.
            control_groups: Layout::of_this_machine().unwrap_or_default(),
            pod_processes_max: POD_PROCESSES_MAX,
            labels: BTreeMap::new(),
            shim,
            images,
            pull: PullOptions::default(),
            kubelet_client_ca: None,
            simulated_nodes: 1,
            dns_address: std::net::Ipv4Addr::new(10, 96, 0, 10),
            dns_domain: "cluster.local".to_owned(),
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("node_name", &self.node_name)
            .field("runtime", &self.runtime)
            .field("root", &self.root)
            .field("node_index", &self.node_index)
            .finish_non_exhaustive()
    }
}
