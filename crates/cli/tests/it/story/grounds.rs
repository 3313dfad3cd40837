//! The two grounds that the story is told on.

use std::net::{SocketAddr, TcpListener};

use anyhow::{Context as _, Result};
use foreshore_testkit::cluster::{Cluster, Kind, NodeOptions, Options, Runtime};

use crate::stage::{Stage, text};

/// Where the platform of a story runs its pods.
pub(super) enum Ground {
    /// `foreshore up` brings it.
    Engine,
    /// A real control plane, with a node of ours that runs real processes.
    Real {
        cluster: Box<Cluster>,
        ingress: SocketAddr,
    },
}

impl Ground {
    pub(super) async fn real() -> Result<Self> {
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

    /// Starts the platform and returns where ingress answers.
    pub(super) async fn up(&mut self, stage: &mut Stage) -> Result<String> {
        match self {
            Self::Engine => {
                let up = stage
                    .up(&["--port", "0", "--ingress-port", "0", "--api-port", "0"])
                    .await?;
                text(&up, "/ingress")
            }
            Self::Real { cluster, ingress } => {
                let kubeconfig = cluster
                    .kubeconfig()
                    .to_str()
                    .context("a plain path")?
                    .to_owned();
                let context =
                    kube::config::Kubeconfig::read_from(cluster.kubeconfig())?.current_context;
                let context = context.context("the kubeconfig has a current context")?;
                stage
                    .up(&[
                        "--port",
                        "0",
                        "--kubeconfig",
                        &kubeconfig,
                        "--context",
                        &context,
                    ])
                    .await?;
                Ok(format!("http://{ingress}"))
            }
        }
    }
}
