//! The service: looks at the config repository when there is reason to, until told to stop.

use std::sync::Arc;
use std::time::Duration;

use foreshore_cluster::Cluster;
use foreshore_model::{Digest, EnvironmentName, Outcome};
use tokio::sync::{Notify, broadcast, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::hints;
use crate::options::Options;
use crate::previews::Previews;
use crate::report::Reporter;
use crate::rounds::Rounds;
use crate::server::Server;

/// Pause after a round that failed in part.
const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// Why an agent cannot be made from its options.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    #[error("the agent has no environment to work on")]
    NoEnvironment,
    #[error("cannot set up the connection to the server")]
    Http(#[source] reqwest::Error),
}

/// Brings one cluster to what the config repository says.
#[derive(Debug)]
pub struct Agent {
    options: Options,
    server: Option<Server>,
    reporter: Arc<Reporter>,
    wake: Arc<Notify>,
    commit: watch::Sender<Option<String>>,
}

/// Speaks to a running agent from the same process.
#[derive(Debug, Clone)]
pub struct Handle {
    reporter: Arc<Reporter>,
    wake: Arc<Notify>,
    commit: watch::Receiver<Option<String>>,
}

impl Handle {
    /// Makes the agent look at the config repository now.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Returns every outcome from now on, as it is reported.
    pub fn outcomes(&self) -> broadcast::Receiver<Outcome> {
        self.reporter.listen()
    }

    /// Returns the commit the agent works on, none before the first round.
    pub fn commit(&self) -> watch::Receiver<Option<String>> {
        self.commit.clone()
    }
}

impl Agent {
    pub fn new(options: Options) -> Result<(Self, Handle), OptionsError> {
        if options.environments.is_empty() {
            return Err(OptionsError::NoEnvironment);
        }
        let server = options
            .server
            .clone()
            .map(Server::new)
            .transpose()
            .map_err(OptionsError::Http)?;
        let (commit, seen) = watch::channel(None);
        let reporter = Arc::new(Reporter::new());
        let wake = Arc::new(Notify::new());
        let handle = Handle {
            reporter: Arc::clone(&reporter),
            wake: Arc::clone(&wake),
            commit: seen,
        };
        Ok((
            Self {
                options,
                server,
                reporter,
                wake,
                commit,
            },
            handle,
        ))
    }

    /// Works until told to stop.
    ///
    /// It may be killed at any moment: everything is found again from git, the
    /// inventories and the cluster.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut helpers = JoinSet::new();
        if let Some(server) = self.server.clone() {
            let (reporter, stop, to) =
                (Arc::clone(&self.reporter), shutdown.clone(), server.clone());
            helpers.spawn(async move { reporter.run(to, stop).await });
            let previews = Previews {
                cluster: Cluster::with_options(
                    self.options.client.clone(),
                    self.options.cluster.clone(),
                ),
                server: server.clone(),
                source: Arc::clone(&self.options.source),
                environments: self.options.environments.clone(),
                site: self.options.site.clone(),
                supply: self.options.supply.clone(),
            };
            let stop = shutdown.clone();
            helpers.spawn(async move {
                tokio::select! { () = previews.run() => {}, () = stop.cancelled() => {} }
            });
            let hints = hints::listen(
                server,
                self.options.environments.clone(),
                self.options.site.clone(),
                self.commit.subscribe(),
                Arc::clone(&self.wake),
            );
            let stop = shutdown.clone();
            helpers.spawn(async move {
                tokio::select! { () = hints => {}, () = stop.cancelled() => {} }
            });
        }
        let poll = jittered(self.options.poll_interval, &self.options);
        let mut rounds = Rounds::new(
            &self.options,
            self.server.clone(),
            Arc::clone(&self.reporter),
            shutdown.clone(),
            Arc::clone(&self.wake),
        );
        info!(site = %self.options.site, "agent started");
        loop {
            let complete = rounds.round().await;
            self.commit.send_if_modified(|known| {
                let moved = *known != rounds.commit;
                known.clone_from(&rounds.commit);
                moved
            });
            let pause = if complete {
                poll
            } else {
                RETRY_PAUSE.min(poll)
            };
            let until = Instant::now() + pause;
            loop {
                tokio::select! {
                    () = shutdown.cancelled() => {
                        rounds.end().await;
                        while helpers.join_next().await.is_some() {}
                        info!("agent stopped");
                        return;
                    }
                    () = self.wake.notified() => break,
                    () = tokio::time::sleep_until(until) => break,
                    () = rounds.tend() => {}
                }
            }
        }
    }
}

/// Spreads the polls of many agents: each keeps its own pace within a tenth.
fn jittered(interval: Duration, options: &Options) -> Duration {
    let names: Vec<&str> = options
        .environments
        .iter()
        .map(EnvironmentName::as_str)
        .collect();
    let seed = Digest::of(format!("{}/{}", options.site, names.join(",")).as_bytes());
    let share = u32::from_str_radix(&seed.hex()[..4], 16).expect("a digest is hexadecimal");
    interval.mul_f64(0.9 + 0.2 * f64::from(share) / f64::from(0xffff_u32))
}
