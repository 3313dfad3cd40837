//! Ingress: one listener on the host for HTTP and HTTPS, requests passed on to
//! endpoints.

mod forward;
mod headers;
mod plain;
mod status;
#[cfg(test)]
mod tests;
mod tls;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use foreshore_sys::Ground;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

use crate::view::Views;
use forward::{Client, Forwarder};

pub(crate) use status::run as write_status;

/// Client connections at once; beyond it new ones wait in the kernel's queue.
const CONNECTIONS: usize = 4096;
/// A client has this long to send its request's headers.
const HEADERS: Duration = Duration::from_secs(30);
/// Between requests a client may be silent this long. Most keep connections for
/// 60 to 90 seconds; closing sooner would break the request that some of them
/// send at that very moment.
const IDLE: Duration = Duration::from_mins(2);
/// Requests under way get this long to finish at shutdown.
const DRAIN: Duration = Duration::from_secs(5);

/// Accepts requests until `shutdown`, then lets those under way finish.
///
/// The error is about the listener handed in.
pub(crate) async fn run(
    ground: Ground,
    listener: std::net::TcpListener,
    views: Views,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let acceptor = tls::config(&views).map(TlsAcceptor::from);
    let forwarder = Arc::new(Forwarder::new(ground, views));
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let connections = TaskTracker::new();
    if let Ok(address) = listener.local_addr() {
        info!(%address, "ingress opened");
    }
    let accepting = async {
        loop {
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let (forwarder, shutdown) = (Arc::clone(&forwarder), shutdown.clone());
                    let acceptor = acceptor.clone();
                    connections.spawn(async move {
                        welcome(stream, peer, acceptor, forwarder, shutdown).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    warn!(
                        error = &error as &dyn std::error::Error,
                        "connection was not accepted"
                    );
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    };
    shutdown
        .run_until_cancelled(async {
            tokio::select! {
                () = accepting => {}
                () = forwarder.endpoints.sweep() => {}
            }
        })
        .await;
    drop(listener);
    connections.close();
    if tokio::time::timeout(DRAIN, connections.wait())
        .await
        .is_err()
    {
        debug!("requests were still under way at shutdown");
    }
    Ok(())
}

/// Finds out from the first byte whether the client speaks TLS: one port serves both.
async fn welcome(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    forwarder: Arc<Forwarder>,
    shutdown: CancellationToken,
) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, %peer, "client connection ended");
        return;
    }
    let mut first = [0];
    // A client that says nothing is refused by the limit for headers or handshake.
    let heard = tokio::time::timeout(HEADERS, stream.peek(&mut first));
    let Some(Ok(Ok(1))) = shutdown.run_until_cancelled(heard).await else {
        return;
    };
    let client = |is_secure| Client {
        address: peer,
        is_secure,
    };
    match acceptor {
        Some(acceptor) if first[0] == tls::HANDSHAKE => {
            match tokio::time::timeout(HEADERS, acceptor.accept(stream)).await {
                Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                    serve(stream, client(true), forwarder, shutdown).await;
                }
                Ok(Ok(stream)) => converse(stream, client(true), forwarder, shutdown).await,
                Ok(Err(error)) => debug!(%error, %peer, "handshake failed"),
                Err(_elapsed) => debug!(%peer, "handshake took too long"),
            }
        }
        _ => converse(stream, client(false), forwarder, shutdown).await,
    }
}

/// Plain requests by the short way; with the first other one the general way
/// takes the connection over.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    client: Client,
    forwarder: Arc<Forwarder>,
    shutdown: CancellationToken,
) {
    if let Some(rest) = plain::serve(stream, client, &forwarder, &shutdown).await {
        serve(rest, client, forwarder, shutdown).await;
    }
}

/// Whatever HTTP there is: other versions, upgrades, bodies of any length.
async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    client: Client,
    forwarder: Arc<Forwarder>,
    shutdown: CancellationToken,
) {
    let peer = client.address;
    let service = service_fn(move |request| {
        let forwarder = Arc::clone(&forwarder);
        async move { Ok::<_, Infallible>(forwarder.answer(request, client).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(error = error.as_ref() as &dyn std::error::Error, %peer, "client connection ended");
    }
}
