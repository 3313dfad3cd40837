//! The whole platform in one process, as `foreshore up` starts it.
//!
//! Order: listeners first, so that a taken port is told before anything is
//! made; then server and ground, which do not need each other; then node and
//! service network; the agent last. Shutdown is the other way round.

mod error;
mod ground;
mod ports;
mod record;
mod sweep;

use std::fs::File;
use std::path::{Path, PathBuf};

use foreshore_model::SiteName;
use foreshore_sys::Identity;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::credentials::{self, AGENT};
use crate::error::ServerError;
use crate::roles::{self, AgentOptions, CheckPlace, RoleError};
use crate::server::{Options as ServerOptions, Server};

pub use error::PlatformError;
pub use foreshore_engine_node::RuntimeKind;
pub use ground::GroundChoice;
pub(crate) use ports::listen_at;
pub use ports::{PortError, Ports, WantedPorts, listen};
pub(crate) use record::write_private;
pub use record::{Record, RecordError};
pub use sweep::{SweepError, sweep};

/// What a platform needs to start.
#[derive(Debug)]
pub struct Options {
    pub data: PathBuf,
    pub ports: WantedPorts,
    pub ground: GroundChoice,
    /// This program, which also knows how to be a pod shim.
    pub program: PathBuf,
}

/// A running platform.
#[derive(Debug)]
pub struct Platform {
    record: Record,
    data: PathBuf,
    tasks: JoinSet<Result<(), RoleError>>,
    shutdown: CancellationToken,
    /// Keeps a second platform away from the same directory.
    _lock: File,
}

impl Platform {
    /// Starts everything and returns once people can use it; `say` tells how things go.
    pub async fn start(
        options: Options,
        shutdown: CancellationToken,
        say: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Self, PlatformError> {
        let Options {
            data,
            ports,
            ground,
            program,
        } = options;
        let lock = claim(&data)?;
        let chosen = Ports::choose(&data, ports).map_err(RoleError::from)?;
        let (listener, address) = listen("server", chosen.server).map_err(RoleError::from)?;
        let prepared = ground::prepare(&ground, &data, chosen, &say)?;
        let kept = Ports {
            server: address.port(),
            ingress: prepared
                .ingress_address
                .map_or(chosen.ingress, |address| address.port()),
            api: prepared
                .api_address
                .map_or(chosen.api, |address| address.port()),
        };
        kept.keep(&data).map_err(RoleError::from)?;

        let ingress = prepared
            .ingress_address
            .map(|address| format!("http://{address}"));
        let words = prepared.words.clone();
        let settings = ServerOptions {
            data: data.clone(),
            listener,
            ingress: ingress.clone(),
            ground: words.clone(),
            webhook: None,
        };
        let (server, cluster) = tokio::join!(
            Server::start(settings, shutdown.clone()),
            ground::start(prepared, &data, program, &shutdown),
        );
        let (server, cluster) = (server.map_err(RoleError::from)?, cluster?);
        server.watch(local_site(), cluster.client.clone());
        let record = Record {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            start_time: Identity::own().map_err(PlatformError::Process)?.start_time,
            url: server.url().to_owned(),
            ingress,
            kubeconfig: cluster.kubeconfig,
            ground: words,
        };
        let mut tasks = cluster.tasks;
        let agent = agent_options(&data, &server, cluster.checks)?;
        let agent = roles::make_agent(cluster.client, agent).await?;
        let stop = shutdown.clone();
        tasks.spawn(async move {
            agent.run(stop).await;
            Ok(())
        });
        tasks.spawn(async move { Ok(server.wait().await?) });
        record.write(&data).map_err(PlatformError::Record)?;
        Ok(Self {
            record,
            data,
            tasks,
            shutdown,
            _lock: lock,
        })
    }

    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Waits until shutdown, or until a role ends that should not have, and stops everything.
    pub async fn wait(mut self) -> Result<(), PlatformError> {
        let mut first = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            let ended = ended
                .map_err(PlatformError::Task)
                .and_then(|ended| ended.map_err(PlatformError::from));
            if !self.shutdown.is_cancelled() {
                tracing::error!("a role ended by itself; the platform stops");
                self.shutdown.cancel();
            }
            if first.is_ok() {
                first = ended;
            }
        }
        sweep(&self.data).await?;
        Record::remove(&self.data).map_err(PlatformError::Record)?;
        first
    }
}

fn claim(data: &Path) -> Result<File, PlatformError> {
    let failed = |cause| PlatformError::Directory {
        path: data.to_owned(),
        cause,
    };
    std::fs::create_dir_all(data).map_err(failed)?;
    let lock = File::create(data.join("lock")).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(std::fs::TryLockError::WouldBlock) => Err(PlatformError::Taken {
            data: data.to_owned(),
        }),
        Err(std::fs::TryLockError::Error(cause)) => Err(failed(cause)),
    }
}

fn agent_options(
    data: &Path,
    server: &Server,
    checks: CheckPlace,
) -> Result<AgentOptions, RoleError> {
    let credential = credentials::read(data, AGENT).ok_or(ServerError::NoCredential)?;
    Ok(AgentOptions {
        data: data.to_owned(),
        kubeconfig: None,
        in_cluster: false,
        context: None,
        config_repository: format!("{}/git/config.git", server.url()),
        server: server.url().to_owned(),
        token: credential.token,
        environments: server.environments().to_vec(),
        site: local_site(),
        checks,
        secret_key: None,
    })
}

fn local_site() -> SiteName {
    SiteName::new("local").expect("`local` is a DNS label")
}
