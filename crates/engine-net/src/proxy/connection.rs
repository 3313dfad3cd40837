//! One connection from a client to an endpoint.

use std::net::SocketAddr;

use foreshore_sys::Ground;
use tokio::net::TcpStream;
use tracing::debug;

use crate::reach;

/// Connects to the first endpoint that answers and copies both ways until both
/// sides have ended. `chosen` is told which one it is.
pub(super) async fn pass_on(
    ground: &Ground,
    mut client: TcpStream,
    peer: SocketAddr,
    backends: &[SocketAddr],
    chosen: impl FnOnce(SocketAddr),
) {
    let Some((mut server, backend)) = connect(ground, peer, backends).await else {
        debug!(%peer, "no endpoint answered");
        // The client sees a reset, not an empty answer.
        if let Err(error) = client.set_zero_linger() {
            debug!(error = &error as &dyn std::error::Error, "client is gone");
        }
        return;
    };
    chosen(backend);
    // Small requests and answers must not wait for each other.
    for stream in [&client, &server] {
        if let Err(error) = stream.set_nodelay(true) {
            debug!(
                error = &error as &dyn std::error::Error,
                "connection ended early"
            );
        }
    }
    if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut server).await {
        debug!(error = &error as &dyn std::error::Error, "connection ended");
    }
}

/// Tries each endpoint once; only a failed connect leads to the next.
async fn connect(
    ground: &Ground,
    peer: SocketAddr,
    backends: &[SocketAddr],
) -> Option<(TcpStream, SocketAddr)> {
    for &backend in backends {
        match reach::connect_for(ground, peer.ip(), backend).await {
            Ok(stream) => return Some((stream, backend)),
            Err(error) => {
                debug!(error = &error as &dyn std::error::Error, %backend, "endpoint did not answer");
            }
        }
    }
    None
}
