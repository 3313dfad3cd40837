//! Settings of the agent.

use std::sync::Arc;
use std::time::Duration;

use foreshore_cluster::Client;
use foreshore_model::{EnvironmentName, SiteName};
use secrecy::SecretString;
use url::Url;

use crate::checks::CheckOptions;
use crate::rounds::seats::LeaseOptions;
use crate::source::Source;
use crate::supply::Supply;

/// What an agent works on and how.
#[derive(Clone)]
pub struct Options {
    /// The cluster; it may do what its kubeconfig may do.
    pub client: Client,
    /// The config repository.
    pub source: Arc<dyn Source>,
    /// The environments this agent carries out; several may share the cluster.
    pub environments: Vec<EnvironmentName>,
    /// Which cluster of its environments this is.
    pub site: SiteName,
    /// Where outcomes go and hints come from; without it there is only polling.
    pub server: Option<ServerOptions>,
    /// How often the config repository is asked when no hint comes.
    pub poll_interval: Duration,
    /// After this long without becoming healthy a release has failed, whatever
    /// the deadlines of its workloads are.
    pub rollout_timeout: Duration,
    /// Services that are written at the same time.
    pub writers: usize,
    pub health: foreshore_health::Options,
    pub cluster: foreshore_cluster::Options,
    /// Whether releases are checked once they are healthy, and where from.
    pub checks: Option<CheckOptions>,
    /// How it works beside others for the same site; without it there must be no other.
    pub lease: Option<LeaseOptions>,
    /// Where artifacts are; without it releases are not verified, and may not name images of their own registry.
    pub supply: Option<Arc<Supply>>,
}

/// The server that outcomes are reported to.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// `http://127.0.0.1:7070`
    pub url: Url,
    pub token: SecretString,
}

impl Options {
    /// Returns the settings with every default.
    pub fn new(
        client: Client,
        source: Arc<dyn Source>,
        environments: Vec<EnvironmentName>,
        site: SiteName,
    ) -> Self {
        Self {
            client,
            source,
            environments,
            site,
            server: None,
            poll_interval: Duration::from_secs(30),
            rollout_timeout: Duration::from_mins(15),
            writers: 32,
            health: foreshore_health::Options::default(),
            cluster: foreshore_cluster::Options::default(),
            checks: None,
            lease: None,
            supply: None,
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("environments", &self.environments)
            .field("site", &self.site)
            .field(
                "server",
                &self.server.as_ref().map(|server| server.url.as_str()),
            )
            .field("poll_interval", &self.poll_interval)
            .finish_non_exhaustive()
    }
}
