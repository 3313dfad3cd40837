//! The node role: pods, and the addresses and names of services.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use foreshore_cluster::connect;
use foreshore_engine_net::{Net, NetOptions};
use foreshore_engine_node::{Capacity, Node, Options, RuntimeKind, probe};
use foreshore_image::Store;
use foreshore_sys::{Ground, GroundError};
use kube::Client;
use tokio_util::sync::CancellationToken;

use super::RoleError;
use crate::platform::listen_at;

/// What a node of its own process needs.
#[derive(Debug)]
pub struct NodeOptions {
    pub data: PathBuf,
    pub kubeconfig: PathBuf,
    /// The best this machine can do if not given.
    pub runtime: Option<RuntimeKind>,
    pub name: String,
    pub index: u8,
    /// A namespace of its own if not given.
    pub ground: Option<PathBuf>,
    pub ingress: Option<SocketAddr>,
    pub simulated_nodes: u8,
    /// Labels of the node beside those every node has.
    pub labels: BTreeMap<String, String>,
    /// The node's share of this machine; all of it if not given.
    pub capacity: Option<Capacity>,
    /// This program, which also knows how to be a pod shim.
    pub program: PathBuf,
}

/// Works until shutdown; its pods go on.
pub async fn node(
    options: NodeOptions,
    shutdown: CancellationToken,
    say: impl Fn(&str),
) -> Result<(), RoleError> {
    let client = connect(&options.kubeconfig, None).await?;
    let runtime = choose(options.runtime, &options.data, &say)?;
    let ground = match (&options.ground, runtime) {
        (_, RuntimeKind::Simulated) => Ground::current(),
        (Some(pin), _) => Ground::open(pin)?,
        (None, _) => own_ground(&options.data, runtime)?,
    };
    let ingress = match options.ingress {
        Some(address) => Some(listen_at("ingress", address)?),
        None => None,
    };
    if let Some((_, address)) = &ingress {
        say(&format!("services answer at http://{address} by host name"));
    }
    let ingress = ingress.map(|(listener, _)| listener);
    run(
        NodeParts {
            client,
            ground,
            ingress,
            runtime,
        },
        options,
        shutdown,
    )
    .await
}

/// Where a ground of ours is pinned.
pub(crate) fn pin(data: &Path) -> PathBuf {
    data.join("ground").join("netns")
}

/// Makes it, or finds the one that is there. Plain processes go without a
/// namespace where none is to be had.
pub(crate) fn own_ground(data: &Path, runtime: RuntimeKind) -> Result<Ground, RoleError> {
    let pin = pin(data);
    let directory = pin.parent().expect("the pin is in a directory of its own");
    std::fs::create_dir_all(directory).map_err(|cause| RoleError::Directory {
        path: directory.to_owned(),
        cause,
    })?;
    match Ground::open_or_create(&pin) {
        Err(GroundError::NotPermitted(cause)) if runtime == RuntimeKind::Process => {
            tracing::warn!(
                error = &cause as &dyn std::error::Error,
                "no network namespace is to be had; pods get loopback addresses of this machine"
            );
            Ok(Ground::create_loopback(&pin)?)
        }
        other => Ok(other?),
    }
}

/// Takes what was asked for, else the best this machine can do, and says why.
pub(crate) fn choose(
    wanted: Option<RuntimeKind>,
    data: &Path,
    say: &impl Fn(&str),
) -> Result<RuntimeKind, RoleError> {
    if let Some(wanted) = wanted {
        return Ok(wanted);
    }
    let nodes = data.join("node");
    std::fs::create_dir_all(&nodes).map_err(|cause| RoleError::Directory {
        path: nodes.clone(),
        cause,
    })?;
    let report = probe(&nodes);
    for line in &report.lines {
        say(line);
    }
    Ok(report.best)
}

/// What a node runs on.
pub(crate) struct NodeParts {
    pub(crate) client: Client,
    pub(crate) ground: Ground,
    pub(crate) ingress: Option<TcpListener>,
    pub(crate) runtime: RuntimeKind,
}

/// Runs the node and the service network until shutdown.
pub(crate) async fn run(
    parts: NodeParts,
    options: NodeOptions,
    shutdown: CancellationToken,
) -> Result<(), RoleError> {
    let root = options.data.join("node").join(&options.name);
    let images = Store::open(&options.data.join("images"))?;
    let simulated = parts.runtime == RuntimeKind::Simulated;
    let mut settings = Options::new(
        parts.client.clone(),
        &options.name,
        parts.runtime,
        parts.ground.clone(),
        root,
        options.program,
        images,
    );
    settings.node_index = options.index;
    settings.simulated_nodes = options.simulated_nodes;
    settings.labels = options.labels;
    if let Some(capacity) = options.capacity {
        settings.capacity = capacity;
    }
    let node = Node::new(settings)?;
    if simulated {
        node.run(shutdown).await;
        return Ok(());
    }
    let mut settings = NetOptions::new(parts.client, parts.ground);
    settings.ingress = parts.ingress;
    let net = Net::new(settings);
    let ((), served) = tokio::join!(node.run(shutdown.clone()), net.run(shutdown));
    served.map_err(RoleError::Net)
}
