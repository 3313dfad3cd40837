//! What a node is told when it starts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use foreshore_image::{PullOptions, Store};
use foreshore_sys::Ground;
use foreshore_sys::cgroup::Layout;

/// Enough for any honest pod, and far from what a machine can bear.
const POD_PROCESSES_MAX: u64 = 4096;

/// About what kubelet takes, and cheap enough for a hundred pods.
const VOLUMES_EVERY: Duration = Duration::from_mins(1);

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

    /// Reads a share such as `cpu=2,memory=4Gi,pods=20`; what it does not name
    /// is all this machine has.
    pub fn parse(text: &str) -> Result<Self, CapacityError> {
        let mut capacity = Self::of_this_machine();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let strange = || CapacityError::Part(part.to_owned());
            let (name, quantity) = part.split_once('=').ok_or_else(strange)?;
            let millis = crate::pod::fields::milli(quantity).ok_or_else(strange)?;
            let millis = u64::try_from(millis).map_err(|_| strange())?;
            match name {
                "cpu" => capacity.cpu_millis = millis,
                "memory" => capacity.memory_bytes = millis / 1000,
                "pods" => {
                    capacity.pods = u32::try_from(millis / 1000).map_err(|_| strange())?;
                }
                _ => return Err(CapacityError::Name(name.to_owned())),
            }
        }
        Ok(capacity)
    }
}

/// Why a text is no share of a machine.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CapacityError {
    #[error("`{0}` is not `cpu=N`, `memory=N` or `pods=N`, as in `cpu=2,memory=4Gi,pods=20`")]
    Part(String),
    #[error("`{0}` is nothing a node shares; it is `cpu`, `memory` or `pods`")]
    Name(String),
}

/// When images that nobody uses are removed. kubelet's own numbers unless
/// said otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageLimits {
    /// From this part of the disk on, images are removed …
    pub high_percent: u8,
    /// … until no more than this part is used.
    pub low_percent: u8,
    /// How long an image stays after its last use.
    pub unused_min: Duration,
    /// How often the disk is looked at.
    pub every: Duration,
}

impl Default for ImageLimits {
    fn default() -> Self {
        Self {
            high_percent: 85,
            low_percent: 80,
            unused_min: Duration::from_mins(2),
            every: Duration::from_mins(5),
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
    /// How often volumes made from objects are brought up to date.
    pub volumes_every: Duration,
    /// Labels of the node beside those every node has.
    pub labels: BTreeMap<String, String>,
    /// The binary that has `pod-shim` as a mode.
    pub shim: PathBuf,
    pub images: Store,
    pub pull: PullOptions,
    pub image_limits: ImageLimits,
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
            volumes_every: VOLUMES_EVERY,
            labels: BTreeMap::new(),
            shim,
            images,
            pull: PullOptions::default(),
            image_limits: ImageLimits::default(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_names_what_it_limits() {
        let share = Capacity::parse("cpu=1500m,memory=2Gi").unwrap();
        let all = Capacity::of_this_machine();
        assert_eq!((share.cpu_millis, share.memory_bytes), (1500, 2 << 30));
        assert_eq!(share.pods, all.pods);
        assert_eq!(Capacity::parse("pods=5").unwrap().pods, 5);
        let words = |text| Capacity::parse(text).unwrap_err().to_string();
        assert!(words("cpu").contains("`cpu` is not `cpu=N`"));
        assert!(words("disk=3").contains("`disk` is nothing a node shares"));
        assert!(words("memory=lots").contains("memory=lots"));
    }
}
