//! Nodes of a cluster: our node agent, talking to it like any kubelet, or the
//! real kubelet.

use std::{net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context as _, Result, bail};
use foreshore_sys::Ground;
use k8s_openapi::api::core::v1::Node;
use kube::{Api, Client};

use crate::{
    environment,
    process::{Process, Spec},
};

/// Longer than any node takes to register.
pub(super) const READY: Duration = Duration::from_mins(1);

/// How a node runs its pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    /// Plain processes of this machine.
    Process,
    /// Processes in namespaces and the file system of their image.
    Sandbox,
    /// Not at all: pods only say that they run.
    Simulated,
    /// As the real kubelet does, with containerd and runc.
    Kubelet,
}

/// A node to add to a cluster.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    pub name: String,
    pub runtime: Runtime,
    /// Third number of its pods' addresses; each node of a cluster needs its own.
    pub index: u8,
    /// Where services answer by host name.
    pub ingress: Option<SocketAddr>,
    /// How many nodes it pretends to be, for [`Runtime::Simulated`].
    pub count: u8,
}

impl NodeOptions {
    /// The first node, called `name`.
    pub fn new(name: &str, runtime: Runtime) -> Self {
        Self {
            name: name.to_owned(),
            runtime,
            index: 1,
            ingress: None,
            count: 1,
        }
    }
}

/// Starts a node agent and waits until its nodes are ready.
pub(super) async fn start(
    options: &NodeOptions,
    folder: &Path,
    kubeconfig: &Path,
    ground: &Ground,
    client: Client,
) -> Result<Process> {
    let data = folder.join("nodes").join(&options.name);
    std::fs::create_dir_all(&data).context("cannot make the folder of the node")?;
    let runtime = match options.runtime {
        Runtime::Process => "process",
        Runtime::Sandbox => "sandbox",
        Runtime::Simulated => "simulated",
        Runtime::Kubelet => bail!("kubelet is not a runtime of our node agent"),
    };
    let mut spec = Spec::new(environment::foreshore()?, data.join("node.log"))
        .args(["node", "--runtime", runtime, "--name", &options.name])
        .args(["--index", &options.index.to_string()])
        .args(["--simulated-nodes", &options.count.to_string()])
        .arg("--data")
        .arg(&data)
        .arg("--kubeconfig")
        .arg(kubeconfig);
    if let Some(pin) = ground.pin() {
        spec = spec.arg("--ground").arg(pin);
    }
    if let Some(address) = options.ingress {
        spec = spec.args(["--ingress", &address.to_string()]);
    }
    let nodes: Api<Node> = Api::all(client);
    let before = ready(&nodes, &options.name).await;
    let wanted = before + usize::from(options.count);
    let mut agent = spec.start()?;
    agent
        .ready(READY, || async {
            ready(&nodes, &options.name).await >= wanted
        })
        .await?;
    Ok(agent)
}

/// How many nodes whose names start with `stem` are ready.
pub(super) async fn ready(nodes: &Api<Node>, stem: &str) -> usize {
    let Ok(list) = nodes.list(&kube::api::ListParams::default()).await else {
        return 0;
    };
    let ours = list.items.iter().filter(|node| {
        let name = node.metadata.name.as_deref();
        name.is_some_and(|name| name.starts_with(stem))
    });
    ours.filter(|node| is_ready(node)).count()
}

fn is_ready(node: &Node) -> bool {
    let conditions = node
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|conditions| {
        conditions
            .iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True")
    })
}
