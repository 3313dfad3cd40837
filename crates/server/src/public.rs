//! The door that other machines reach: TLS, bounded, with limits on how long anybody may take.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use foreshore_dashboard::{Dashboard, Login};
use foreshore_git::Repository;
use foreshore_registry::Registry;
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::doors::Doors;
use crate::error::ServerError;
use crate::login::{Gatekeeper, Users};
use crate::pages;
use crate::server::doors_router;
use crate::state::State;
use crate::tls::{CertificateFiles, Certificates};

/// A client that does not finish its handshake, or the head of a request, in this time is dropped.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections at once; whoever comes later waits in the system's queue.
const CONNECTIONS_MAX: usize = 2_000;
/// Requests at once on one connection of HTTP/2.
const STREAMS_MAX: u32 = 250;
/// A peer that vanished is noticed after this time.
const ASK_EVERY: Duration = Duration::from_secs(20);
/// Requests under way at shutdown get this long.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);
/// Pause after the system refused to accept, typically for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A door beyond loopback: where it is, and what it shows to prove who it is.
#[derive(Debug)]
pub struct Public {
    pub listener: std::net::TcpListener,
    pub files: CertificateFiles,
}

/// Asks for a login at every door, and opens the one beyond loopback.
pub(crate) struct Guard {
    gatekeeper: Arc<Gatekeeper>,
    outside: Option<(std::net::TcpListener, Arc<Certificates>)>,
}

/// What stands behind the doors.
pub(crate) struct Parts<'a> {
    pub(crate) state: &'a Arc<State>,
    pub(crate) registry: &'a Registry,
    pub(crate) repository: &'a Repository,
    pub(crate) dashboard: &'a Dashboard,
}

impl Parts<'_> {
    /// The pages of the door on loopback, and where the door beyond it was opened.
    pub(crate) fn pages(
        &self,
        guard: Option<Guard>,
        tasks: &mut JoinSet<Result<(), ServerError>>,
        shutdown: &CancellationToken,
    ) -> Result<(Router, Option<String>), ServerError> {
        let Some(guard) = guard else {
            return Ok((self.with_running(self.dashboard.router()), None));
        };
        let (login, url) = guard.open(self, tasks, shutdown)?;
        let pages = self.dashboard.router_behind(login, false);
        Ok((self.with_running(pages), url))
    }

    fn with_running(&self, pages: Router) -> Router {
        pages.merge(pages::running(self.state, self.dashboard))
    }
}

impl Guard {
    /// Refuses where nobody could log in, and a certificate that cannot be shown.
    pub(crate) fn new(data: &Path, public: Option<Public>) -> Result<Self, ServerError> {
        let users = Users::open(data)?;
        if users.list()?.is_empty() {
            return Err(ServerError::NobodyCanLogIn);
        }
        let outside = match public {
            Some(public) => Some((public.listener, Certificates::load(public.files)?)),
            None => None,
        };
        Ok(Self {
            gatekeeper: Arc::new(Gatekeeper::new(Arc::new(users))),
            outside,
        })
    }

    /// Opens the door beyond loopback, if there is one; returns where it is.
    fn open(
        self,
        parts: &Parts<'_>,
        tasks: &mut JoinSet<Result<(), ServerError>>,
        shutdown: &CancellationToken,
    ) -> Result<(Arc<dyn Login>, Option<String>), ServerError> {
        let login: Arc<dyn Login> = self.gatekeeper;
        let Some((listener, certificates)) = self.outside else {
            return Ok((login, None));
        };
        let address = listener.local_addr().map_err(ServerError::Listen)?;
        let pages = parts.with_running(parts.dashboard.router_behind(login.clone(), true));
        let doors = Arc::new(Doors::beyond_loopback(parts.state.access.clone()));
        let router = doors_router(
            parts.state,
            parts.registry,
            parts.repository.clone(),
            pages,
            doors,
        );
        let acceptor = TlsAcceptor::from(certificates.config()?);
        listener
            .set_nonblocking(true)
            .map_err(ServerError::Listen)?;
        let listener = TcpListener::from_std(listener).map_err(ServerError::Listen)?;
        let shutdown = shutdown.clone();
        tasks.spawn(async move {
            serve(listener, certificates, acceptor, router, shutdown).await;
            Ok(())
        });
        Ok((login, Some(format!("https://{address}"))))
    }
}

/// Serves until shutdown.
async fn serve(
    listener: TcpListener,
    certificates: Arc<Certificates>,
    acceptor: TlsAcceptor,
    router: Router,
    shutdown: CancellationToken,
) {
    tokio::spawn(certificates.follow(shutdown.clone()));
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let permit = tokio::select! {
            () = shutdown.cancelled() => break,
            permit = room.clone().acquire_owned() => permit.expect("nobody closes the semaphore"),
        };
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, peer)) => {
                let (acceptor, router) = (acceptor.clone(), router.clone());
                let watcher = graceful.watcher();
                connections.spawn(async move {
                    connection(stream, peer, acceptor, router, watcher).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot accept a connection"
                );
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    // Every connection is told to end; those that do not in time are cut.
    let ended = tokio::time::timeout(DRAIN_LIMIT, async {
        tokio::join!(graceful.shutdown(), drained)
    });
    if ended.await.is_err() {
        tracing::debug!("connections were still open at the end of the drain");
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: TlsAcceptor,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "cannot switch off delayed sending"
        );
    }
    let Ok(Ok(stream)) = tokio::time::timeout(PATIENCE, acceptor.accept(stream)).await else {
        return;
    };
    let service = tower::service_fn(move |request: Request<Incoming>| {
        let router = router.clone();
        async move {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            let answer = router.oneshot(request).await;
            Ok::<_, Infallible>(answer.unwrap_or_else(|never| match never {}))
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Some(PATIENCE));
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(ASK_EVERY))
        .max_concurrent_streams(STREAMS_MAX);
    let served = builder
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .into_owned();
    if let Err(error) = watcher.watch(served).await {
        tracing::debug!(error = &*error, "a connection ended early");
    }
}
