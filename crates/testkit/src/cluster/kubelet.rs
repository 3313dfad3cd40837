//! A node that is the real kubelet, with containerd and runc of the machine.
//!
//! What it needs of a machine, and why, is in decision 0007. It runs in
//! process, mount and network namespaces of its own and in a cgroup of its
//! own, and all of it ends with its first process.

mod needs;
mod pause;

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use foreshore_sys::{self as sys, Ground, Identity, Signal};
use serde_json::{Value, json};

pub use needs::unmet;

use crate::{
    environment::oracle,
    process::{Process, Spec},
};

/// Address of the node; pods have theirs in [`POD_ADDRESSES`].
pub(super) const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 250, 0, 9));
/// The ground routes 10.244.0.0/16, where our own nodes' pods are, to loopback.
const POD_ADDRESSES: &str = "10.245.0.0/24";
/// Where our cluster DNS answers.
const DNS: &str = "10.96.0.10";
/// Everything of a node has ended long before.
const END: Duration = Duration::from_secs(20);

/// What a node is made of.
pub(super) struct Parts<'a> {
    pub(super) name: &'a str,
    /// Folder of the node, which exists.
    pub(super) folder: &'a Path,
    /// Kubeconfig of the node's own user.
    pub(super) kubeconfig: &'a Path,
    /// Certificate of the authority of those who may talk to kubelet.
    pub(super) authority: &'a Path,
    /// Name of the cgroup, which exists.
    pub(super) cgroup: &'a str,
    pub(super) ground: &'a Ground,
}

/// A running node; dropping it ends everything in its namespaces.
#[derive(Debug)]
pub(super) struct Kubelet {
    process: Process,
}

impl Kubelet {
    pub(super) fn start(parts: &Parts<'_>) -> Result<Self> {
        let folder = parts.folder;
        write_files(parts)?;
        pause::write(&oracle("pause")?, &folder.join("pause.tar"))?;
        let process = Spec::new("unshare", folder.join("node.log"))
            .args(["--mount", "--propagation", "private", "--pid", "--fork"])
            .args(["--kill-child", "--mount-proc", "bash"])
            .arg(folder.join("node.sh"))
            .arg(folder)
            .args([&ADDRESS.to_string(), parts.name])
            .env("PATH", needs::PATH)
            .inside(parts.ground)
            .start()?;
        Ok(Self { process })
    }

    pub(super) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Kills the first process of the namespace and waits until the kernel has
    /// ended all others; only then `unshare` ends.
    fn end(&mut self) -> Result<()> {
        let id = self.process.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        for child in children.unwrap_or_default().split_whitespace() {
            let Ok(identity) = Identity::of(child.parse().context("a process id is a number")?)
            else {
                continue;
            };
            if let Some(first) = sys::Process::open(identity).context("cannot look for the node")? {
                first.signal(Signal::KILL).context("cannot end the node")?;
            }
        }
        let deadline = std::time::Instant::now() + END;
        while self.process.ended()?.is_none() && std::time::Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            crate::environment::say(&format!("{error:#}"));
        }
    }
}

fn write_files(parts: &Parts<'_>) -> Result<()> {
    let folder = parts.folder;
    let network = folder.join("network");
    fs::create_dir_all(&network).context("cannot make the folder of the pod network")?;
    let files: [(PathBuf, String); 5] = [
        (
            folder.join("node.sh"),
            include_str!("kubelet/node.sh").to_owned(),
        ),
        (folder.join("kubelet.json"), settings(parts).to_string()),
        (folder.join("containerd.toml"), containerd(&network)),
        (network.join("10-pods.conflist"), pod_network().to_string()),
        // No name outside the cluster is looked up anywhere.
        (folder.join("resolv.conf"), String::new()),
    ];
    for (path, content) in files {
        fs::write(&path, content).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    fs::copy(parts.kubeconfig, folder.join("kubeconfig"))
        .context("cannot copy the kubeconfig of the node")?;
    let target = fs::canonicalize(oracle("kubelet")?).context("cannot find kubelet")?;
    // The program goes by the name it is called by.
    symlink(target, folder.join("kubelet")).context("cannot link kubelet")
}

fn settings(parts: &Parts<'_>) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": parts.authority},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}", parts.cgroup),
        "failCgroupV1": false,
        "failSwapOn": false,
        "protectKernelDefaults": true,
        "oomScoreAdj": 0,
        "clusterDNS": [DNS],
        "clusterDomain": "cluster.local",
        "resolvConf": parts.folder.join("resolv.conf"),
        // The machine's disk is not the node's to judge: others fill it too.
        "evictionHard": {
            "imagefs.available": "0%",
            "nodefs.available": "0%",
            "nodefs.inodesFree": "0%",
        },
        "imageGCHighThresholdPercent": 100,
        "shutdownGracePeriod": "0s",
        "volumePluginDir": "/var/lib/kubelet/plugins",
    })
}

fn containerd(network: &Path) -> String {
    format!(
        r#"version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp"]

[grpc]
address = "/run/containerd/containerd.sock"

[plugins."io.containerd.internal.v1.opt"]
path = "/var/lib/containerd/opt"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
restrict_oom_score_adj = true
disable_apparmor = true
disable_hugetlb_controller = true
stream_server_address = "127.0.0.1"

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "{network}"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
"#,
        pause = pause::NAME,
        plugins = needs::NETWORK_PLUGINS,
        network = network.display(),
    )
}

fn pod_network() -> Value {
    json!({
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [{
            "type": "bridge",
            "bridge": "pods0",
            "isGateway": true,
            "ipMasq": false,
            "hairpinMode": true,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": POD_ADDRESSES}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }],
    })
}
