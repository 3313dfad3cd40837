//! The ground of a platform: the embedded engine with a node, or a cluster there is.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use foreshore_cluster::connect;
use foreshore_engine::{Engine, Options as EngineOptions};
use foreshore_engine_node::RuntimeKind;
use foreshore_sys::Ground;
use kube::Client;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::ports::{Ports, listen};
use crate::roles::{self, CheckPlace, NodeOptions, RoleError};

/// Where things are to run.
#[derive(Debug)]
pub enum GroundChoice {
    /// The embedded engine; the best runtime this machine can do if none is given.
    Embedded { runtime: Option<RuntimeKind> },
    /// A cluster that is there already.
    Cluster {
        kubeconfig: Option<PathBuf>,
        context: String,
        /// Network namespace in which addresses of its services work; `host` for this process's.
        network: Option<PathBuf>,
    },
}

/// What can be told and taken before anything runs.
pub(super) struct Prepared {
    kind: Kind,
    pub(super) words: String,
    pub(super) ingress_address: Option<SocketAddr>,
    pub(super) api_address: Option<SocketAddr>,
}

enum Kind {
    Embedded {
        ground: Ground,
        runtime: RuntimeKind,
        api: TcpListener,
        ingress: TcpListener,
    },
    Cluster {
        kubeconfig: PathBuf,
        context: String,
        network: Option<PathBuf>,
    },
}

/// A ground that answers.
pub(super) struct Started {
    pub(super) client: Client,
    pub(super) kubeconfig: Option<PathBuf>,
    /// Where from releases are checked.
    pub(super) checks: CheckPlace,
    pub(super) tasks: JoinSet<Result<(), RoleError>>,
}

/// Takes ports and makes the network namespace.
pub(super) fn prepare(
    choice: &GroundChoice,
    data: &Path,
    ports: Ports,
    say: &impl Fn(&str),
) -> Result<Prepared, RoleError> {
    let runtime = match choice {
        GroundChoice::Cluster {
            kubeconfig,
            context,
            network,
        } => {
            let kubeconfig = match kubeconfig {
                Some(path) => path.clone(),
                None => roles::usual_kubeconfig()?,
            };
            return Ok(Prepared {
                words: format!("cluster `{context}`"),
                kind: Kind::Cluster {
                    kubeconfig,
                    context: context.clone(),
                    network: network.clone(),
                },
                ingress_address: None,
                api_address: None,
            });
        }
        GroundChoice::Embedded { runtime } => *runtime,
    };
    let (api, api_address) = listen("Kubernetes API", ports.api)?;
    let (ingress, ingress_address) = listen("ingress", ports.ingress)?;
    let runtime = roles::choose_runtime(runtime, data, say)?;
    // Pods that only seem to run need no network, and hence no rights.
    let ground = if runtime == RuntimeKind::Simulated {
        Ground::current()
    } else {
        roles::own_ground(data, runtime)?
    };
    Ok(Prepared {
        kind: Kind::Embedded {
            ground,
            runtime,
            api,
            ingress,
        },
        words: format!("the embedded engine (one machine, runtime {runtime})"),
        ingress_address: Some(ingress_address),
        api_address: Some(api_address),
    })
}

/// Starts what was prepared, or connects to it.
pub(super) async fn start(
    prepared: Prepared,
    data: &Path,
    (node, program): (&str, PathBuf),
    shutdown: &CancellationToken,
) -> Result<Started, RoleError> {
    let mut tasks = JoinSet::new();
    let (ground, runtime, api, ingress) = match prepared.kind {
        Kind::Cluster {
            kubeconfig,
            context,
            network,
        } => {
            let client = connect(&kubeconfig, Some(&context)).await?;
            return Ok(Started {
                client,
                kubeconfig: Some(kubeconfig),
                checks: network
                    .as_deref()
                    .map_or_else(CheckPlace::outside, CheckPlace::named),
                tasks,
            });
        }
        Kind::Embedded {
            ground,
            runtime,
            api,
            ingress,
        } => (ground, runtime, api, ingress),
    };
    let kubeconfig = data.join("kubeconfig");
    let mut settings = EngineOptions::new(data.join("engine"), api);
    settings.ground = (runtime != RuntimeKind::Simulated).then(|| ground.clone());
    settings.kubeconfig = Some(kubeconfig.clone());
    let engine = Engine::start(settings, shutdown.clone()).await?;
    let client = engine.client();
    tasks.spawn(async move { Ok(engine.wait().await?) });
    let options = NodeOptions {
        data: data.to_owned(),
        kubeconfig: kubeconfig.clone(),
        runtime: Some(runtime),
        name: node.to_owned(),
        index: 1,
        ground: None,
        ingress: None,
        simulated_nodes: 1,
        labels: std::collections::BTreeMap::new(),
        capacity: None,
        program,
    };
    let checks = if runtime == RuntimeKind::Simulated {
        CheckPlace::Nowhere {
            why: "pods are simulated here, so nothing answers".to_owned(),
        }
    } else {
        CheckPlace::Ground {
            ground: ground.clone(),
            ingress: prepared.ingress_address,
        }
    };
    let parts = roles::NodeParts {
        client: client.clone(),
        ground,
        ingress: Some(ingress),
        runtime,
    };
    tasks.spawn(roles::run_node(parts, options, shutdown.clone()));
    Ok(Started {
        client,
        kubeconfig: Some(kubeconfig),
        checks,
        tasks,
    })
}
