//! The server role.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use foreshore_cluster::connect;
use foreshore_model::SiteName;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::RoleError;
use crate::error::ServerError;
use crate::platform::listen_at;
use crate::public::Public;
use crate::server::{Options, Server};
use crate::tls::CertificateFiles;

/// What a server of its own process needs.
#[derive(Debug)]
pub struct ServerRole {
    pub data: PathBuf,
    /// On loopback.
    pub address: SocketAddr,
    /// What other machines reach, with the certificate to show there.
    pub public: Option<(SocketAddr, CertificateFiles)>,
    /// Whether the pages on loopback ask for a login though nothing is public.
    pub login: bool,
    /// What the pages show.
    pub clusters: Vec<ClusterFile>,
    pub webhook: Option<Url>,
}

/// A cluster, and the kubeconfig that leads to it.
#[derive(Debug, Clone)]
pub struct ClusterFile {
    pub site: SiteName,
    pub kubeconfig: PathBuf,
    /// The current one if not given.
    pub context: Option<String>,
}

/// Serves until shutdown.
pub async fn server(
    role: ServerRole,
    shutdown: CancellationToken,
    say: impl Fn(&str),
) -> Result<(), RoleError> {
    let address = role.address;
    if !address.ip().is_loopback() {
        return Err(ServerError::NotLoopback { address }.into());
    }
    // A slip in a kubeconfig is told before anything is made; a cluster that
    // does not answer is no reason not to start.
    let mut clusters = Vec::new();
    for cluster in &role.clusters {
        let client = connect(&cluster.kubeconfig, cluster.context.as_deref()).await?;
        clusters.push((cluster.site.clone(), client));
    }
    let (listener, _): (TcpListener, _) = listen_at("server", address)?;
    let needs_login = role.login || role.public.is_some();
    let public = match role.public {
        Some((address, files)) => {
            let (listener, _) = listen_at("public", address)?;
            Some(Public { listener, files })
        }
        None => None,
    };
    let options = Options {
        webhook: role.webhook,
        ..Options::new(role.data, listener)
    };
    let server = if needs_login {
        Server::start_behind_login(options, public, shutdown).await?
    } else {
        Server::start(options, shutdown).await?
    };
    for (site, client) in clusters {
        server.watch(site, client);
    }
    say(&format!("serving at {}", server.url()));
    if let Some(url) = server.public_url() {
        say(&format!("serving other machines at {url}"));
    }
    Ok(server.wait().await?)
}
