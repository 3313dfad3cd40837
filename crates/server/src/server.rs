//! The server role: API, registry, config repository and pages on one listener.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use axum::serve::ListenerExt as _;
use foreshore_config_repo::{Outcomes, Writer, bootstrap, starter};
use foreshore_dashboard::Dashboard;
use foreshore_git::{CommitKey, Repository, smart_http};
use foreshore_identity::Store;
use foreshore_image::{ClientOptions, Credentials, RegistryClient};
use foreshore_model::{EnvironmentName, SiteName, clock};
use foreshore_registry::Registry;
use foreshore_secret::Key;
use futures::FutureExt as _;
use kube::Client;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::access::Access;
use crate::api;
use crate::arrivals::Follower;
use crate::artifacts::Artifacts;
use crate::changes::Changes;
use crate::credentials::{self, SERVER};
use crate::doors::Doors;
use crate::error::ServerError;
use crate::notify::Notifier;
use crate::pages;
use crate::public::{Guard, Public};
use crate::source::{Builder, Builds, Host, Settings};
use crate::state::{Parts, State};
use crate::witness::{self, Signer};

/// What a server needs to start.
#[derive(Debug)]
pub struct Options {
    /// The platform's data directory.
    pub data: PathBuf,
    /// On the host's loopback.
    pub listener: TcpListener,
    /// Where users reach services, if this process knows.
    pub ingress: Option<String>,
    /// Where things run, in words.
    pub ground: String,
    /// Who is told of every change.
    pub webhook: Option<Url>,
    /// This program, which builds pushed source; without it none is taken in.
    pub program: Option<PathBuf>,
}

impl Options {
    /// A server for a cluster that is elsewhere, which tells nobody of changes.
    pub fn new(data: PathBuf, listener: TcpListener) -> Self {
        Self {
            data,
            listener,
            ingress: None,
            ground: "a cluster".to_owned(),
            webhook: None,
            program: std::env::current_exe().ok(),
        }
    }
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    url: String,
    public_url: Option<String>,
    environments: Vec<EnvironmentName>,
    dashboard: Dashboard,
    tasks: JoinSet<Result<(), ServerError>>,
}

impl Server {
    /// Opens what is on disk, or makes it, and starts to answer on loopback.
    pub async fn start(options: Options, shutdown: CancellationToken) -> Result<Self, ServerError> {
        Self::begin(options, None, shutdown).await
    }

    /// The same, but the pages ask for a login; with a certificate, also beyond loopback.
    pub async fn start_behind_login(
        options: Options,
        public: Option<Public>,
        shutdown: CancellationToken,
    ) -> Result<Self, ServerError> {
        let guard = Guard::new(&options.data, public)?;
        Self::begin(options, Some(guard), shutdown).await
    }

    async fn begin(
        options: Options,
        guard: Option<Guard>,
        shutdown: CancellationToken,
    ) -> Result<Self, ServerError> {
        let Options {
            data,
            listener,
            ingress,
            ground,
            webhook,
            program,
        } = options;
        let address = listener.local_addr().map_err(ServerError::Listen)?;
        refuse_beyond_loopback(address)?;
        let url = format!("http://{address}");
        let home = data.join("server");
        std::fs::create_dir_all(&home).map_err(|cause| ServerError::Directory {
            path: home.clone(),
            cause,
        })?;

        let identities = Arc::new(Store::open(&home.join("server.db"))?);
        credentials::ensure(&identities, &data, &url)?;
        // The agent that works from the same directory opens what is sealed for this key.
        let agent_key = credentials::agent_key(&data)?;
        let key_file = home.join("signing.key");
        let signing_key = witness::load_or_make(&key_file)?;
        let commit_key = Arc::new(witness::commit_key(&key_file)?);
        let signer = commit_key.signer();
        let repository = tokio::task::spawn_blocking({
            let path = home.join("config.git");
            move || open_config_repository(&path, &agent_key, commit_key)
        })
        .await
        .map_err(ServerError::Task)??;
        let outcomes = Outcomes::start(repository.clone()).await?;
        let writer = Writer::start(repository.clone(), &outcomes).await?;
        let public_key = signing_key.public();
        let registry = open_registry(&home, signing_key)?;
        let client = own_client(&data, address)?;

        let builds = Arc::new(Builds::open(home.join("builds"))?);
        let source = open_source(program.is_some(), &home, &identities, &builds).await?;
        let first = u64::try_from(clock::now().as_millisecond()).unwrap_or(0);
        let state = Arc::new(State::new(Parts {
            identities,
            writer: writer.clone(),
            outcomes,
            artifacts: Artifacts::new(client, public_key),
            signers: vec![signer],
            builds,
            source,
            changes: Changes::starting_at(first),
            registry: address.to_string(),
            ingress,
            ground,
        }));
        let environments = writer.world().environments.keys().cloned().collect();
        let dashboard = pages::start(&state, &data, address, &shutdown)?;
        let mut tasks = JoinSet::new();
        let behind = crate::public::Parts {
            state: &state,
            registry: &registry,
            repository: &repository,
            dashboard: &dashboard,
        };
        let (pages, public_url) = behind.pages(guard, &mut tasks, &shutdown)?;
        let router = router(&state, &registry, repository, pages);
        let listener = tokio::net::TcpListener::from_std(listener).map_err(ServerError::Listen)?;
        tasks.spawn(serve(listener, router, shutdown.clone()));
        let work = Work {
            webhook,
            builder: program.map(|program| Settings::new(program, url.clone(), &home)),
            home: &home,
        };
        work.begin(registry, &state, &mut tasks, &shutdown)?;
        Ok(Self {
            url,
            public_url,
            environments,
            dashboard,
            tasks,
        })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where other machines reach it, if they do.
    pub fn public_url(&self) -> Option<&str> {
        self.public_url.as_deref()
    }

    /// The environments of the config repository when the server started.
    pub fn environments(&self) -> &[EnvironmentName] {
        &self.environments
    }

    /// Shows a cluster on the pages from now on.
    pub fn watch(&self, site: SiteName, client: Client) {
        self.dashboard.watch(site, client);
    }

    /// Waits until the server has ended.
    pub async fn wait(mut self) -> Result<(), ServerError> {
        while let Some(ended) = self.tasks.join_next().await {
            ended.map_err(ServerError::Task)??;
        }
        Ok(())
    }
}

/// The registry, which signs every artifact that arrives.
fn open_registry(
    home: &Path,
    signing_key: foreshore_artifact::SigningKey,
) -> Result<Registry, ServerError> {
    let options = foreshore_registry::Options {
        immutable_tags: vec!["artifacts/".to_owned()],
        witness: Some(Arc::new(Signer::new(signing_key))),
        ..foreshore_registry::Options::default()
    };
    Ok(Registry::open(&home.join("registry"), options)?)
}

/// What goes on whether anybody asks or not.
struct Work<'a> {
    webhook: Option<Url>,
    builder: Option<Settings>,
    home: &'a Path,
}

impl Work<'_> {
    fn begin(
        self,
        registry: Registry,
        state: &Arc<State>,
        tasks: &mut JoinSet<Result<(), ServerError>>,
        shutdown: &CancellationToken,
    ) -> Result<(), ServerError> {
        let cursor = self.home.join("arrivals.cursor");
        let follower = Follower::new(registry, state.clone(), cursor);
        tasks.spawn(follower.run(shutdown.clone()).map(Ok));
        if let Some(webhook) = self.webhook {
            let cursor = self.home.join("webhook.cursor");
            let notifier = Notifier::new(state.clone(), webhook, cursor);
            let notifier = notifier.map_err(ServerError::Webhook)?;
            tasks.spawn(notifier.run(shutdown.clone()).map(Ok));
        }
        if let Some(settings) = self.builder {
            let builder = Builder::new(state.clone(), settings);
            tasks.spawn(builder.run(shutdown.clone()).map(Ok));
        }
        tasks.spawn(announce_news(state.clone(), shutdown.clone()));
        Ok(())
    }
}

/// Opens the source repositories, if anything can build what is pushed there.
async fn open_source(
    builds_here: bool,
    home: &Path,
    identities: &Arc<Store>,
    builds: &Arc<Builds>,
) -> Result<Option<Arc<Host>>, ServerError> {
    if !builds_here {
        return Ok(None);
    }
    let access = Access::new(identities.clone());
    let (folder, builds) = (Settings::repositories(home), builds.clone());
    let opened = tokio::task::spawn_blocking(move || Host::open(access, builds, folder)).await;
    Ok(Some(Arc::new(opened.map_err(ServerError::Task)??)))
}

/// The registry as the server itself reads it.
fn own_client(data: &Path, address: SocketAddr) -> Result<RegistryClient, ServerError> {
    let own = credentials::read(data, SERVER).ok_or(ServerError::NoCredential)?;
    let options = ClientOptions {
        credentials: Credentials::Bearer(own.token),
        ..ClientOptions::default()
    };
    Ok(RegistryClient::new(&address.to_string(), options)?)
}

/// Without login pages and TLS nothing of this may be reachable from elsewhere.
fn refuse_beyond_loopback(address: SocketAddr) -> Result<(), ServerError> {
    if address.ip().is_loopback() {
        Ok(())
    } else {
        Err(ServerError::NotLoopback { address })
    }
}

fn open_config_repository(
    path: &std::path::Path,
    agent_key: &Key,
    commit_key: Arc<CommitKey>,
) -> Result<Repository, ServerError> {
    let repository = Repository::init_bare(path)?.signing(commit_key);
    let (mut environments, policies) = starter();
    for environment in &mut environments {
        environment.recipients = vec![agent_key.recipient().to_string()];
    }
    bootstrap(&repository, &environments, &policies, clock::now())?;
    Ok(repository)
}

fn router(
    state: &Arc<State>,
    registry: &Registry,
    repository: Repository,
    pages: Router,
) -> Router {
    let doors = Arc::new(Doors::new(state.access.clone()));
    Router::new()
        .route("/metrics", get(crate::metrics::get))
        .with_state(state.clone())
        .merge(doors_router(state, registry, repository, pages, doors))
}

/// What every door serves; who may have it, `doors` and the pages decide.
pub(crate) fn doors_router(
    state: &Arc<State>,
    registry: &Registry,
    repository: Repository,
    pages: Router,
    doors: Arc<Doors>,
) -> Router {
    let after_push = {
        let writer = state.writer.clone();
        Arc::new(move || writer.refresh())
    };
    let git = smart_http::Options {
        after_push: Some(after_push),
        ..smart_http::Options::new(doors.clone())
    };
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .merge(pages)
        .merge(api::router(state.clone()))
        .merge(state.source.clone().map_or_else(Router::new, Host::router))
        .merge(registry.router(doors))
        .nest("/git/config.git", smart_http::router(repository, git))
}

async fn serve(
    listener: tokio::net::TcpListener,
    router: Router,
    shutdown: CancellationToken,
) -> Result<(), ServerError> {
    // An answer in two pieces would wait for the reader's delayed acknowledgement.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot send small pieces at once");
        }
    });
    axum::serve(listener, router)
        .with_graceful_shutdown(async move { shutdown.cancelled().await })
        .await
        .map_err(|cause: io::Error| ServerError::Serve(cause))
}

/// Whoever moves the branch, a person's push included, and whatever an agent
/// reports: everybody who waits hears of it.
async fn announce_news(state: Arc<State>, shutdown: CancellationToken) -> Result<(), ServerError> {
    let mut tips = state.writer.subscribe();
    let mut reports = state.outcomes.watch();
    loop {
        let changed = tokio::select! {
            changed = tips.changed() => changed,
            changed = reports.changed() => changed,
            () = shutdown.cancelled() => return Ok(()),
        };
        if changed.is_err() {
            return Ok(());
        }
        state.changes.announce();
    }
}
