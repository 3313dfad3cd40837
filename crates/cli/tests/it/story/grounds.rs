//! The grounds that the story is told on.

use std::net::{SocketAddr, TcpListener};

use anyhow::{Context as _, Result};
use foreshore_engine_net::{Net, NetOptions};
use foreshore_testkit::cluster::{Cluster, Kind, NodeOptions, Options, Runtime};
use serde_json::Value;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::stage::{Stage, text};

/// Where the platform of a story runs its pods.
pub(crate) enum Ground {
    /// `foreshore up` brings it.
    Engine,
    /// A real control plane, with a node of ours that runs real processes.
    Real {
        cluster: Box<Cluster>,
        ingress: SocketAddr,
    },
    /// A real control plane with the real kubelet, containerd and runc. Beside
    /// it runs only our service network, for addresses, names and ingress.
    Kubelet {
        cluster: Box<Cluster>,
        ingress: SocketAddr,
        _network: DropGuard,
    },
}

impl Ground {
    pub(crate) async fn real() -> Result<Self> {
        let mut cluster = Cluster::start(Kind::Real, Options::default()).await?;
        // Found free and given back: the node takes it a moment later.
        let ingress = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let node = NodeOptions {
            ingress: Some(ingress),
            ..NodeOptions::new("local", Runtime::Sandbox)
        };
        cluster.add_node(node).await?;
        Ok(Self::Real {
            cluster: Box::new(cluster),
            ingress,
        })
    }

    pub(crate) async fn kubelet() -> Result<Self> {
        let mut cluster = Cluster::start(Kind::Real, Options::default()).await?;
        cluster
            .add_node(NodeOptions::new("kubelet", Runtime::Kubelet))
            .await?;
        let ground = cluster
            .ground()
            .context("a cluster of its own has a ground")?;
        let mut options = NetOptions::new(cluster.client().await?, ground.clone());
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let ingress = listener.local_addr()?;
        options.ingress = Some(listener);
        let shutdown = CancellationToken::new();
        tokio::spawn(Net::new(options).run(shutdown.clone()));
        Ok(Self::Kubelet {
            cluster: Box::new(cluster),
            ingress,
            _network: shutdown.drop_guard(),
        })
    }

    /// Starts the platform and returns where ingress answers.
    pub(crate) async fn up(&mut self, stage: &mut Stage) -> Result<String> {
        match self {
            Self::Engine => {
                let up = stage
                    .up(&["--port", "0", "--ingress-port", "0", "--api-port", "0"])
                    .await?;
                text(&up, "/ingress")
            }
            Self::Real { cluster, ingress } => {
                on_cluster(cluster, stage).await?;
                Ok(format!("http://{ingress}"))
            }
            Self::Kubelet {
                cluster, ingress, ..
            } => {
                let up = on_cluster(cluster, stage).await?;
                // Images are named by where the registry answers on the host.
                let url: reqwest::Url = text(&up, "/url")?.parse()?;
                cluster.expose(url.port().context("the platform's URL has a port")?)?;
                Ok(format!("http://{ingress}"))
            }
        }
    }
}

async fn on_cluster(cluster: &Cluster, stage: &mut Stage) -> Result<Value> {
    let path = cluster.kubeconfig();
    let context = kube::config::Kubeconfig::read_from(path)?.current_context;
    let context = context.context("the kubeconfig has a current context")?;
    let path = path.to_str().context("a plain path")?;
    stage
        .up(&["--port", "0", "--kubeconfig", path, "--context", &context])
        .await
}
