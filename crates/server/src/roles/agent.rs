//! The agent role.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use foreshore_agent::{
    Agent, CheckOptions, Handle, LeaseOptions, MirrorSource, Options, ServerOptions,
};
use foreshore_cluster::{connect, connect_in_cluster};
use foreshore_git::{Credential, Signer};
use foreshore_model::{EnvironmentName, SiteName};
use foreshore_secret::Key;
use foreshore_sys::Ground;
use kube::Client;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use super::RoleError;
use super::supply::{self, SupplyChoice};
use crate::credentials;
use crate::error::ServerError;

/// What an agent of its own process needs.
#[derive(Debug)]
pub struct AgentOptions {
    pub data: PathBuf,
    /// The usual one if not given.
    pub kubeconfig: Option<PathBuf>,
    pub context: Option<String>,
    /// The cluster around this pod, instead of a kubeconfig.
    pub in_cluster: bool,
    pub config_repository: String,
    pub server: String,
    pub token: String,
    pub environments: Vec<EnvironmentName>,
    pub site: SiteName,
    pub checks: CheckPlace,
    /// Opens sealed secrets; the key in the data directory if not given.
    pub secret_key: Option<PathBuf>,
    pub supply: SupplyChoice,
    /// Whose commits of the config repository are taken; everybody's if there are none.
    pub signers: Vec<Signer>,
}

/// Where an agent stands when it checks releases.
#[derive(Debug)]
pub enum CheckPlace {
    /// In the network of the cluster, as a pod is.
    Here,
    /// In this pinned network namespace.
    Network(PathBuf),
    /// On the ground of a platform that has its own ingress.
    Ground {
        ground: Ground,
        ingress: Option<SocketAddr>,
    },
    /// Addresses of services lead nowhere from here.
    Nowhere { why: String },
}

impl CheckPlace {
    /// The place of an agent that was started outside of its cluster.
    pub fn outside() -> Self {
        Self::Nowhere {
            why: "the agent is outside of the cluster's network; run it in the cluster, or name the network with `--cluster-network`".to_owned(),
        }
    }

    /// A named network namespace, or `host` for the one this process is in.
    pub fn named(network: &Path) -> Self {
        if network == Path::new("host") {
            Self::Here
        } else {
            Self::Network(network.to_owned())
        }
    }

    fn options(self) -> Result<CheckOptions, RoleError> {
        Ok(match self {
            Self::Here => CheckOptions::new(Ok(Ground::current())),
            Self::Network(pin) => CheckOptions::new(Ok(Ground::open(&pin)?)),
            Self::Ground { ground, ingress } => CheckOptions {
                ingress,
                ..CheckOptions::new(Ok(ground))
            },
            Self::Nowhere { why } => CheckOptions::new(Err(why)),
        })
    }
}

/// Works until shutdown.
pub async fn agent(options: AgentOptions, shutdown: CancellationToken) -> Result<(), RoleError> {
    prepare_agent(options).await?.0.run(shutdown).await;
    Ok(())
}

/// Makes an agent that does not work yet, and what hears it.
pub async fn prepare_agent(options: AgentOptions) -> Result<(Agent, Handle), RoleError> {
    let client = if options.in_cluster {
        connect_in_cluster()?
    } else {
        let kubeconfig = match &options.kubeconfig {
            Some(path) => path.clone(),
            None => usual_kubeconfig()?,
        };
        connect(&kubeconfig, options.context.as_deref()).await?
    };
    made(client, options).await
}

/// Makes an agent for a client, however it was come by.
pub(crate) async fn make(client: Client, options: AgentOptions) -> Result<Agent, RoleError> {
    made(client, options).await.map(|(agent, _)| agent)
}

async fn made(client: Client, options: AgentOptions) -> Result<(Agent, Handle), RoleError> {
    let token: SecretString = options.token.into();
    let folder = options.data.join("agent").join(options.site.as_str());
    std::fs::create_dir_all(&folder).map_err(|cause| RoleError::Directory {
        path: folder.clone(),
        cause,
    })?;
    let key = match &options.secret_key {
        Some(path) => Key::load(path),
        None => credentials::agent_key(&options.data),
    };
    let key = key.map_err(ServerError::from)?;
    tracing::info!(recipient = %key.recipient(), "secrets sealed for this key are opened");
    let credential = Credential::Bearer(token.clone());
    let url = options.config_repository;
    let signers = options.signers;
    let own = folder.clone();
    let lease = LeaseOptions::kept_in(&folder).map_err(|cause| RoleError::Directory {
        path: folder.clone(),
        cause,
    })?;
    // Opening reads the disk and runs git once.
    let source = tokio::task::spawn_blocking(move || {
        MirrorSource::open(&folder.join("config.git"), &url, credential)
            .map(|source| source.with_key(key).trusting(signers))
    })
    .await
    .expect("opening a mirror does not panic")?;
    let server = options.server.parse().map_err(|_| RoleError::Url {
        url: options.server.clone(),
    })?;
    let server = ServerOptions { url: server, token };
    let supply = supply::make(options.supply, &server, &own)?;
    let mut settings = Options::new(client, Arc::new(source), options.environments, options.site);
    settings.supply = Some(Arc::new(supply));
    settings.server = Some(server);
    settings.checks = Some(options.checks.options()?);
    settings.lease = Some(lease);
    Ok(Agent::new(settings)?)
}

/// The kubeconfig that kubectl would use.
#[expect(
    clippy::disallowed_methods,
    reason = "only `cli` and `server` read the environment"
)]
pub(crate) fn usual_kubeconfig() -> Result<PathBuf, RoleError> {
    if let Some(path) = std::env::var("KUBECONFIG")
        .ok()
        .filter(|path| !path.is_empty())
    {
        return Ok(PathBuf::from(path));
    }
    let home = std::env::var("HOME").map_err(|_| RoleError::NoKubeconfig)?;
    Ok(PathBuf::from(home).join(".kube/config"))
}
