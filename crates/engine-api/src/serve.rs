//! TLS in front of the API: HTTP/1.1 and HTTP/2, client certificates wanted but not needed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::authn;
use crate::core::Core;
use crate::pki::PkiError;
use crate::server::ApiService;

/// A client that does not finish its handshake in this time is dropped.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// A client that keeps its connection may be silent this long. Clients keep
/// theirs for up to 90 seconds; closing sooner would break the request that
/// some of them send at that very moment.
const IDLE_LIMIT: Duration = Duration::from_mins(2);
/// Requests under way at shutdown get this long.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);
/// Watches one HTTP/2 connection may carry at once; client-go opens one per kind and more.
const STREAMS_MAX: u32 = 1000;
/// Pause after the system refused to accept, typically for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the API could not be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("cannot prepare the server's certificate")]
    Certificate(#[source] PkiError),
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
    #[error("cannot set up the verification of client certificates")]
    Verifier(#[source] rustls::server::VerifierBuilderError),
    #[error("cannot listen")]
    Listen(#[source] io::Error),
}

fn acceptor(core: &Core) -> Result<TlsAcceptor, ServeError> {
    let serving = core
        .pki
        .api_serving(core.network.api())
        .map_err(ServeError::Certificate)?;
    let mut roots = RootCertStore::empty();
    let authority = core.pki.ca_der().map_err(ServeError::Certificate)?;
    roots.add(authority).map_err(ServeError::Tls)?;
    let provider = Arc::new(ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .map_err(ServeError::Verifier)?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(ServeError::Tls)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(serving.chain, serving.key)
        .map_err(ServeError::Tls)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

pub(crate) async fn serve(
    core: &Arc<Core>,
    listeners: Vec<TcpListener>,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let acceptor = acceptor(core)?;
    let graceful = Arc::new(GracefulShutdown::new());
    let mut accepting = JoinSet::new();
    for listener in listeners {
        let (core, acceptor) = (Arc::clone(core), acceptor.clone());
        let (graceful, shutdown) = (Arc::clone(&graceful), shutdown.clone());
        accepting
            .spawn(async move { accept(&core, listener, &acceptor, &graceful, shutdown).await });
    }
    while accepting.join_next().await.is_some() {}
    core.closing.cancel();
    let Some(graceful) = Arc::into_inner(graceful) else {
        return Ok(());
    };
    if tokio::time::timeout(DRAIN_LIMIT, graceful.shutdown())
        .await
        .is_err()
    {
        debug!("connections were still open at the end of the drain");
    }
    Ok(())
}

async fn accept(
    core: &Arc<Core>,
    listener: TcpListener,
    acceptor: &TlsAcceptor,
    graceful: &GracefulShutdown,
    shutdown: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        match accepted {
            Ok((stream, _)) => {
                let watcher = graceful.watcher();
                let (core, acceptor) = (Arc::clone(core), acceptor.clone());
                connections.spawn(async move { connection(core, stream, acceptor, watcher).await });
            }
            Err(error) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot accept a connection"
                );
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // They end by themselves: the caller ends watches and asks for a graceful end.
    connections.detach_all();
}

async fn connection(
    core: Arc<Core>,
    stream: TcpStream,
    acceptor: TlsAcceptor,
    watcher: hyper_util::server::graceful::Watcher,
) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(
            error = &error as &dyn std::error::Error,
            "cannot switch off delayed sending"
        );
    }
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await
    else {
        return;
    };
    let certificates = stream.get_ref().1.peer_certificates();
    let peer = certificates
        .and_then(<[_]>::first)
        .and_then(|certificate| authn::user_of_certificate(certificate));
    let service = ApiService {
        core,
        peer: peer.map(Arc::new),
    };
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Some(IDLE_LIMIT));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(Some(Duration::from_secs(30)))
        .keep_alive_timeout(Duration::from_secs(15));
    let service = TowerToHyperService::new(service);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection.into_owned()).await {
        debug!(error = &*error, "connection ended");
    }
}
