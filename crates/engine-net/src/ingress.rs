//! Ingress: one HTTP listener on the host, requests passed on to endpoints.

mod forward;
mod headers;
mod status;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use foreshore_sys::Ground;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

use crate::view::Views;
use forward::Forwarder;

pub(crate) use status::run as write_status;

/// Client connections at once; beyond it new ones wait in the kernel's queue.
const CONNECTIONS: usize = 4096;
/// A client has this long to send its request's headers.
const HEADERS: Duration = Duration::from_secs(30);
/// Requests under way get this long to finish at shutdown.
const DRAIN: Duration = Duration::from_secs(5);

/// Accepts requests until `shutdown`, then lets those under way finish.
pub(crate) async fn run(
    ground: Ground,
    listener: TcpListener,
    views: Views,
    shutdown: CancellationToken,
) {
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
                    connections.spawn(async move {
                        serve(stream, peer, forwarder, shutdown).await;
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
    shutdown.run_until_cancelled(accepting).await;
    drop(listener);
    connections.close();
    if tokio::time::timeout(DRAIN, connections.wait())
        .await
        .is_err()
    {
        debug!("requests were still under way at shutdown");
    }
}

async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    forwarder: Arc<Forwarder>,
    shutdown: CancellationToken,
) {
    let service = service_fn(move |request| {
        let forwarder = Arc::clone(&forwarder);
        async move { Ok::<_, Infallible>(forwarder.answer(request, peer).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS);
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
