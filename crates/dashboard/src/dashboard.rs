//! The dashboard as a whole: what it watches, whom it lets in, what it hands to its pages.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use foreshore_identity::{Principal, Right};
use foreshore_model::api::load::Loads;
use foreshore_model::{ServiceName, SiteName, clock};
use kube::Client;
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::act::{Jobs, Offers, cluster};
use crate::audit::{Audit, AuditError};
use crate::board::Board;
use crate::desk::Desk;
use crate::listing::Facts;
use crate::live::{Key, Make, Views};
use crate::loads;
use crate::login::Login;
use crate::page::pods::Gathered;
use crate::routes;
use crate::routes::entrance::Entrance;
use crate::running::{self, Running};
use crate::world::{self, World};

/// What a dashboard needs.
#[derive(Debug)]
pub struct Options {
    /// The server's API under `/api/v1`, and [`crate::inside`] beside it.
    pub api: Router,
    /// Who reads the status for everybody.
    pub reader: Principal,
    /// Who everybody on this machine is, where no login is needed.
    pub owner: Principal,
    /// Where the pages are served.
    pub address: SocketAddr,
    /// Where things run, in words.
    pub ground: String,
    pub version: String,
    /// Where the record of actions is kept.
    pub audit: PathBuf,
    /// What may be deleted at any time.
    pub cache: Option<PathBuf>,
}

/// The pages of a server; cheap to clone.
#[derive(Clone)]
pub struct Dashboard {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Dashboard {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Dashboard")
            .field("address", &self.inner.address)
            .finish_non_exhaustive()
    }
}

/// What all pages share.
pub(crate) struct Inner {
    pub(crate) board: Arc<Board>,
    pub(crate) gathered: Arc<Gathered>,
    pub(crate) desk: Desk,
    pub(crate) world: watch::Receiver<Arc<World>>,
    pub(crate) loads: watch::Receiver<Arc<Loads>>,
    pub(crate) offers: Offers,
    pub(crate) jobs: Arc<Jobs>,
    pub(crate) audit: Audit,
    pub(crate) views: Arc<Views>,
    pub(crate) owner: Principal,
    pub(crate) address: SocketAddr,
    pub(crate) ground: String,
    pub(crate) version: String,
    pub(crate) shutdown: CancellationToken,
}

impl Inner {
    /// Everything that pages are made of, as of now.
    pub(crate) fn facts(&self, may_act: bool) -> Facts {
        Facts {
            gathered: self.gathered.clone(),
            version: self.board.version(),
            stale: Arc::default(),
            whole: true,
            sites: self.board.sites(),
            world: self.world.borrow().clone(),
            jobs: self.jobs.clone(),
            loads: self.loads.borrow().clone(),
            now: clock::now(),
            may_act,
        }
    }
}

impl Dashboard {
    /// Opens the record of actions and starts to follow the server.
    pub fn start(options: Options, shutdown: CancellationToken) -> Result<Self, AuditError> {
        let board = Arc::new(Board::new(options.cache));
        let desk = Desk::new(options.api);
        let (sender, world) = watch::channel(Arc::new(World::default()));
        tokio::spawn(world::follow(
            desk.clone(),
            options.reader.clone(),
            board.clone(),
            sender,
            shutdown.clone(),
        ));
        let (sender, loads) = watch::channel(Arc::new(Loads::default()));
        tokio::spawn(loads::follow(
            desk.clone(),
            options.reader,
            board.clone(),
            sender,
            shutdown.clone(),
        ));
        let jobs = Arc::new(Jobs::new(board.clone()));
        let gathered: Arc<Gathered> = Arc::default();
        let make: Make = {
            let (board, world, jobs) = (board.clone(), world.clone(), jobs.clone());
            let (loads, kept) = (loads.clone(), gathered.clone());
            Arc::new(move |(page, query, may_act): &Key| {
                let facts = Facts {
                    gathered: kept.clone(),
                    version: board.version(),
                    stale: Arc::default(),
                    whole: false,
                    sites: board.sites(),
                    world: world.borrow().clone(),
                    jobs: jobs.clone(),
                    loads: loads.borrow().clone(),
                    now: clock::now(),
                    may_act: *may_act,
                };
                let mut view = page.view(query, &facts)?;
                view.parts
                    .push(crate::view::Part::Live("data", crate::frame::data(&facts)));
                view.stale = facts.stale.load(Ordering::Relaxed);
                Some(view)
            })
        };
        let views = Views::new(make, board.subscribe(), shutdown.clone());
        Ok(Self {
            inner: Arc::new(Inner {
                board,
                gathered,
                desk,
                world,
                loads,
                offers: Offers::default(),
                jobs,
                audit: Audit::open(&options.audit)?,
                views,
                owner: options.owner,
                address: options.address,
                ground: options.ground,
                version: options.version,
                shutdown,
            }),
        })
    }

    /// Shows a cluster from now on, and lets people act in it where this client may grant that.
    pub fn watch(&self, name: SiteName, client: Client) {
        self.inner
            .board
            .attach(name, client.clone(), &self.inner.shutdown);
        tokio::spawn(async move {
            if let Err(error) = cluster::install_rights(&client).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot grant the dashboard's people their rights in the cluster"
                );
            }
        });
    }

    /// What the clusters say of a service.
    pub fn running(&self, service: &ServiceName) -> Vec<Running> {
        running::of_service(service, &self.inner.facts(false))
    }

    /// The pages, to be merged with whatever else is served, on this machine's loopback only.
    pub fn router(&self) -> Router {
        routes::router(self.inner.clone(), Entrance::Owner)
    }

    /// The pages for whoever has a session; `secure` where the way there is encrypted.
    pub fn router_behind(&self, login: Arc<dyn Login>, secure: bool) -> Router {
        routes::router(self.inner.clone(), Entrance::Login { login, secure })
    }
}

/// Whether somebody may do more than look.
pub(crate) fn may_act(who: &Principal) -> bool {
    who.may(&Right::Release)
}

/// Draws what nobody can guess; nothing if this machine's source of randomness fails.
pub(crate) fn token() -> Option<String> {
    let mut bytes = [0_u8; 16];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(format!("{:032x}", u128::from_be_bytes(bytes)))
}
