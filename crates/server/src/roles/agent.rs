//! The agent role.

use std::path::PathBuf;
use std::sync::Arc;

use foreshore_agent::{Agent, MirrorSource, Options, ServerOptions};
use foreshore_cluster::{connect, connect_in_cluster};
use foreshore_git::Credential;
use foreshore_model::{EnvironmentName, SiteName};
use kube::Client;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use super::RoleError;

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
}

/// Works until shutdown.
pub async fn agent(options: AgentOptions, shutdown: CancellationToken) -> Result<(), RoleError> {
    let client = if options.in_cluster {
        connect_in_cluster()?
    } else {
        let kubeconfig = match &options.kubeconfig {
            Some(path) => path.clone(),
            None => usual_kubeconfig()?,
        };
        connect(&kubeconfig, options.context.as_deref()).await?
    };
    make(client, options).await?.run(shutdown).await;
    Ok(())
}

/// Makes an agent for a client, however it was come by.
pub(crate) async fn make(client: Client, options: AgentOptions) -> Result<Agent, RoleError> {
    let token: SecretString = options.token.into();
    let folder = options.data.join("agent").join(options.site.as_str());
    std::fs::create_dir_all(&folder).map_err(|cause| RoleError::Directory {
        path: folder.clone(),
        cause,
    })?;
    let credential = Credential::Bearer(token.clone());
    let url = options.config_repository;
    // Opening reads the disk and runs git once.
    let source = tokio::task::spawn_blocking(move || {
        MirrorSource::open(&folder.join("config.git"), &url, credential)
    })
    .await
    .expect("opening a mirror does not panic")?;
    let server = options.server.parse().map_err(|_| RoleError::Url {
        url: options.server.clone(),
    })?;
    let mut settings = Options::new(client, Arc::new(source), options.environments, options.site);
    settings.server = Some(ServerOptions { url: server, token });
    let (agent, _) = Agent::new(settings)?;
    Ok(agent)
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
