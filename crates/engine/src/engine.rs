//! One cluster in this process: start order, and what runs until the end.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use foreshore_engine_api::{ApiServer, Credential, Kubeconfig, Pki, UserInfo};
use foreshore_engine_store::{self as store, Store};
use foreshore_model::clock;
use kube::Client;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::control::{self, Clients};
use crate::error::EngineError;
use crate::inside;
use crate::options::{Options, Storage};
use crate::simulated;

/// What the cluster is called in kubeconfigs.
const NAME: &str = "foreshore";
/// How often old events are looked for.
const SWEEP: Duration = Duration::from_mins(1);

/// A running cluster; [`Engine::wait`] sees it to its end.
pub struct Engine {
    handle: Handle,
    tasks: JoinSet<Result<(), EngineError>>,
    api: ApiServer,
    shutdown: CancellationToken,
    ended: watch::Sender<bool>,
    kubeconfig: Option<PathBuf>,
}

/// Reaches a running engine; cheap to clone.
#[derive(Clone)]
pub struct Handle {
    client: Client,
    api: ApiServer,
    pki: Pki,
    address: SocketAddr,
    ended: watch::Receiver<bool>,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Handle")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Handle {
    /// A client with all rights, without sockets in between.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// An in-process client that acts as `user`, with the rights of a
    /// component of the cluster.
    pub fn component(&self, user: &str) -> Client {
        self.api.client(UserInfo::component(user))
    }

    /// Where the API listens on this machine.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate authority clients should trust.
    pub fn ca_pem(&self) -> &str {
        self.pki.ca_pem()
    }

    /// Issues a client certificate, for instance for a node or an agent.
    pub fn credential(&self, user: &str, groups: &[&str]) -> Result<Credential, EngineError> {
        Ok(self.pki.credential(user, groups)?)
    }

    /// Writes a kubeconfig with all rights, readable by its owner alone, in
    /// one step.
    pub fn write_kubeconfig(&self, path: &Path) -> Result<(), EngineError> {
        let credential = self.pki.credential("admin", &["system:masters"])?;
        let kubeconfig = Kubeconfig {
            cluster: NAME.to_owned(),
            server: format!("https://{}", self.address),
            ca_pem: self.pki.ca_pem().to_owned(),
            user: "admin".to_owned(),
            credential,
        };
        kubeconfig.write(path)?;
        Ok(())
    }

    /// Waits until the engine has ended and its store is closed.
    pub async fn ended(&self) {
        let mut ended = self.ended.clone();
        // An engine that was dropped without an end has ended too.
        let _over = ended.wait_for(|&ended| ended).await.is_ok();
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Engine")
            .field("handle", &self.handle)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Opens the store, then the API, then the control loops. When it returns,
    /// the API answers.
    pub async fn start(options: Options, shutdown: CancellationToken) -> Result<Self, EngineError> {
        // A failure of one part ends the others, but not the host's other roles.
        let shutdown = shutdown.child_token();
        if let Some(path) = &options.kubeconfig {
            forget_kubeconfig(path)?;
        }
        let folder = options.data.join("engine");
        std::fs::create_dir_all(&folder).map_err(|cause| EngineError::Data {
            path: folder.clone(),
            cause,
        })?;
        let pki = Pki::load_or_create(&folder.join("keys"), clock::now())?;
        let store = open_store(&folder, options.storage)?;
        let (listeners, address) = adopt(options.listeners)?;
        let mut api_options = foreshore_engine_api::Options::new(store, pki.clone());
        if let Some(ground) = &options.ground {
            api_options.dialer = inside::dialer(ground.clone());
        }
        let service_network = api_options.service_network;
        let api = ApiServer::start(api_options)
            .await
            .map_err(|error| EngineError::Api(Box::new(error)))?;

        let mut tasks = JoinSet::new();
        let (serving, stop) = (api.clone(), shutdown.clone());
        tasks.spawn(async move {
            serving
                .serve(listeners, stop)
                .await
                .map_err(|error| EngineError::Serve(Box::new(error)))
        });
        let client = api.client(UserInfo::admin());
        if let Some(ground) = options.ground.clone() {
            let own = SocketAddr::from((service_network.api(), inside::PORT));
            tasks.spawn(inside::serve(api.clone(), ground, own, shutdown.clone()));
            tasks.spawn(inside::publish(client.clone(), own, shutdown.clone()));
        }
        let volumes = folder.join("volumes");
        tasks.spawn(control_loops(
            api.clone(),
            pki.clone(),
            volumes,
            shutdown.clone(),
        ));
        if options.simulated_nodes > 0 {
            let client = api.client(UserInfo::component("system:simulated-nodes"));
            let nodes = simulated::nodes(
                client,
                &folder,
                options.ground.clone(),
                options.simulated_nodes,
            )?;
            let stop = shutdown.clone();
            tasks.spawn(async move {
                nodes.run(stop).await;
                Ok(())
            });
        }
        tasks.spawn(sweep_events(api.clone(), shutdown.clone()));
        let (ended, over) = watch::channel(false);
        let handle = Handle {
            client,
            api: api.clone(),
            pki,
            address,
            ended: over,
        };
        if let Some(path) = &options.kubeconfig {
            handle.write_kubeconfig(path)?;
        }
        info!(%address, "engine started");
        Ok(Self {
            handle,
            tasks,
            api,
            shutdown,
            ended,
            kubeconfig: options.kubeconfig,
        })
    }

    /// A client with all rights, without sockets in between.
    pub fn client(&self) -> Client {
        self.handle.client()
    }

    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Waits for the end: the shutdown token, or the failure of a part, which
    /// ends the rest. The store is closed last.
    pub async fn wait(mut self) -> Result<(), EngineError> {
        let mut result = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            let ended = ended.map_err(EngineError::Panicked).and_then(|ended| ended);
            if ended.is_err() {
                self.shutdown.cancel();
            }
            result = result.and(ended);
        }
        self.api.store().close().await;
        if let Some(path) = &self.kubeconfig {
            let forgotten = forget_kubeconfig(path);
            result = result.and(forgotten);
        }
        info!("engine ended");
        self.ended.send_replace(true);
        result
    }
}

/// Makes the listeners handed in usable here; returns the address of the first.
fn adopt(
    listeners: Vec<TcpListener>,
) -> Result<(Vec<tokio::net::TcpListener>, SocketAddr), EngineError> {
    let mut adopted = Vec::new();
    for listener in listeners {
        listener
            .set_nonblocking(true)
            .map_err(EngineError::Listener)?;
        adopted.push(tokio::net::TcpListener::from_std(listener).map_err(EngineError::Listener)?);
    }
    let first = adopted.first().ok_or(EngineError::NoListener)?;
    let address = first.local_addr().map_err(EngineError::Listener)?;
    Ok((adopted, address))
}

/// Runs controllers and scheduler, each under its own name.
async fn control_loops(
    api: ApiServer,
    pki: Pki,
    volumes: PathBuf,
    shutdown: CancellationToken,
) -> Result<(), EngineError> {
    let clients = Clients {
        controllers: api.client(UserInfo::component("system:kube-controller-manager")),
        scheduler: api.client(UserInfo::component("system:kube-scheduler")),
    };
    let volumes = std::path::absolute(&volumes).unwrap_or(volumes);
    control::run(clients, pki.ca_pem().to_owned(), &volumes, shutdown).await?;
    Ok(())
}

/// Lets events go that nobody will read any more.
async fn sweep_events(api: ApiServer, shutdown: CancellationToken) -> Result<(), EngineError> {
    let mut minutes = tokio::time::interval(SWEEP);
    while shutdown.run_until_cancelled(minutes.tick()).await.is_some() {
        api.sweep_events().await;
    }
    Ok(())
}

/// Removes a kubeconfig nobody answers behind; one that is not there is fine.
fn forget_kubeconfig(path: &Path) -> Result<(), EngineError> {
    match std::fs::remove_file(path) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => Err(EngineError::Forget {
            path: path.to_owned(),
            cause,
        }),
        _ => Ok(()),
    }
}

fn open_store(folder: &Path, storage: Storage) -> Result<Store, EngineError> {
    let options = match storage {
        Storage::Memory => store::Options::memory(),
        Storage::Disk(durability) => store::Options {
            durability,
            ..store::Options::disk(folder.join("objects.redb"))
        },
    };
    Ok(Store::open(options)?)
}
