//! The whole platform in one process, as `foreshore up` starts it.
//!
//! Order: listeners first, so that a taken port is told before anything is
//! made; then server and ground, which do not need each other; then node and
//! service network; the agent last. Shutdown is the other way round.

mod error;
mod ground;
mod ports;
mod record;
mod sites;
mod state;
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
use ground::{Prepared, Started};

pub use error::PlatformError;
pub use foreshore_engine_node::RuntimeKind;
pub use ground::GroundChoice;
pub(crate) use ports::listen_at;
pub use ports::{PortError, Ports, WantedPorts, listen};
pub(crate) use record::write_private;
pub use record::{Record, RecordError};
pub use sites::SitesError;
pub use state::{FORMAT, State, StateError};
pub use sweep::{SweepError, sweep};

/// What a platform needs to start.
#[derive(Debug)]
pub struct Options {
    pub data: PathBuf,
    pub ports: WantedPorts,
    pub ground: GroundChoice,
    /// How many sites production has; as many as before if not given.
    pub sites: Option<u8>,
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
    ///
    /// A start that fails leaves nothing running and nothing mounted.
    pub async fn start(
        options: Options,
        shutdown: CancellationToken,
        say: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Self, PlatformError> {
        let data = options.data.clone();
        // Nothing may be written where a state cannot be used.
        State::check(&data)?;
        let lock = claim(&data)?;
        match start_claimed(options, lock, shutdown.clone(), say).await {
            Ok(platform) => Ok(platform),
            Err(error) => {
                shutdown.cancel();
                if let Err(left) = sweep(&data).await {
                    tracing::error!(
                        error = &left as &dyn std::error::Error,
                        "a start that failed left something behind"
                    );
                }
                Err(error)
            }
        }
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

/// What is taken before anything runs.
struct Taken {
    listener: std::net::TcpListener,
    first: Prepared,
    second: Option<(Prepared, PathBuf)>,
}

/// Takes ports and makes network namespaces; a taken port is told before anything runs.
fn take(options: &Options, sites: u8, say: &impl Fn(&str)) -> Result<Taken, RoleError> {
    let data = &options.data;
    let chosen = Ports::choose(data, options.ports)?;
    let (listener, address) = listen("server", chosen.server)?;
    let first = ground::prepare(&options.ground, data, chosen, say)?;
    let kept = Ports {
        server: address.port(),
        ingress: first
            .ingress_address
            .map_or(chosen.ingress, |address| address.port()),
        api: first
            .api_address
            .map_or(chosen.api, |address| address.port()),
    };
    kept.keep(data)?;
    let second = match options.ground {
        GroundChoice::Embedded { runtime } if sites > 1 => Some(sites::prepare(runtime, data)?),
        _ => None,
    };
    Ok(Taken {
        listener,
        first,
        second,
    })
}

async fn start_claimed(
    options: Options,
    lock: File,
    shutdown: CancellationToken,
    say: impl Fn(&str) + Send + Sync + 'static,
) -> Result<Platform, PlatformError> {
    let mut state = State::check(&options.data)?;
    let before = state.sites;
    state.sites = options.sites.unwrap_or(before);
    let taken = take(&options, state.sites, &say)?;
    state.clone().keep(&options.data)?;
    let Options { data, program, .. } = options;
    if state.sites > 1 || before > 1 {
        let (data, names) = (data.clone(), sites::names(state.sites));
        tokio::task::spawn_blocking(move || sites::write_down(&data, &names))
            .await
            .map_err(PlatformError::Task)??;
    }
    let ingress = taken
        .first
        .ingress_address
        .map(|address| format!("http://{address}"));
    let words = match &taken.second {
        Some(_) => format!("{}, two sites", taken.first.words),
        None => taken.first.words.clone(),
    };
    let settings = ServerOptions {
        data: data.clone(),
        listener: taken.listener,
        ingress: ingress.clone(),
        ground: words.clone(),
        webhook: None,
        program: Some(program.clone()),
    };
    let second = async {
        match taken.second {
            Some(prepared) => sites::start(prepared, program.clone(), &shutdown)
                .await
                .map(Some),
            None => Ok(None),
        }
    };
    let name = sites::first();
    let (server, first, second) = tokio::join!(
        Server::start(settings, shutdown.clone()),
        ground::start(
            taken.first,
            &data,
            (name.as_str(), program.clone()),
            &shutdown
        ),
        second,
    );
    let (server, first, second) = (server.map_err(RoleError::from)?, first?, second?);
    let record = Record {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        start_time: Identity::own().map_err(PlatformError::Process)?.start_time,
        url: server.url().to_owned(),
        ingress,
        kubeconfig: first.kubeconfig.clone(),
        ground: words,
    };
    let mut tasks = JoinSet::new();
    let clusters = [
        Some((sites::first(), first)),
        second.map(|it| (sites::second(), it)),
    ];
    for (site, cluster) in clusters.into_iter().flatten() {
        join_site(&mut tasks, (site, cluster), (&data, &server), &shutdown).await?;
    }
    tasks.spawn(async move { Ok(server.wait().await?) });
    state.complete = true;
    state.keep(&data)?;
    record.write(&data).map_err(PlatformError::Record)?;
    Ok(Platform {
        record,
        data,
        tasks,
        shutdown,
        _lock: lock,
    })
}

/// Shows a cluster on the pages and gives it an agent.
async fn join_site(
    tasks: &mut JoinSet<Result<(), RoleError>>,
    (site, cluster): (SiteName, Started),
    (data, server): (&Path, &Server),
    shutdown: &CancellationToken,
) -> Result<(), RoleError> {
    server.watch(site.clone(), cluster.client.clone());
    let mut running = cluster.tasks;
    // A cluster that was there before has nothing that runs here.
    if !running.is_empty() {
        let stop = shutdown.clone();
        tasks.spawn(async move {
            let mut first = Ok(());
            while let Some(ended) = running.join_next().await {
                if !stop.is_cancelled() {
                    tracing::error!("a part of a cluster ended by itself; the platform stops");
                    stop.cancel();
                }
                let ended = ended.map_err(|error| RoleError::Server(ServerError::Task(error)));
                let ended = ended.and_then(|ended| ended);
                first = first.and(ended);
            }
            first
        });
    }
    let options = agent_options(data, server, site, cluster.checks)?;
    let agent = roles::make_agent(cluster.client, options).await?;
    let stop = shutdown.clone();
    tasks.spawn(async move {
        agent.run(stop).await;
        Ok(())
    });
    Ok(())
}

fn agent_options(
    data: &Path,
    server: &Server,
    site: SiteName,
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
        site,
        checks,
        secret_key: None,
        supply: roles::SupplyChoice::default(),
        signers: Vec::new(),
    })
}
