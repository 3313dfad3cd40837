//! One connection from a client to an endpoint.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use foreshore_sys::Ground;
use tokio::net::TcpStream;
use tracing::debug;

/// An endpoint of the ground answers at once or is gone.
const CONNECT: Duration = Duration::from_secs(2);

/// Connects to the first endpoint that answers and copies both ways until both
/// sides have ended.
pub(super) async fn pass_on(
    ground: &Ground,
    mut client: TcpStream,
    peer: SocketAddr,
    backends: &[SocketAddr],
) {
    let Some(mut server) = connect(ground, peer, backends).await else {
        debug!(%peer, "no endpoint answered");
        // The client sees a reset, not an empty answer.
        if let Err(error) = client.set_zero_linger() {
            debug!(error = &error as &dyn std::error::Error, "client is gone");
        }
        return;
    };
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
pub(crate) async fn connect(
    ground: &Ground,
    peer: SocketAddr,
    backends: &[SocketAddr],
) -> Option<TcpStream> {
    for &backend in backends {
        let connected = if is_pod(peer.ip()) {
            // The endpoint sees the pod that called, as in other networks.
            match ground
                .connect_from(SocketAddr::new(peer.ip(), 0), backend, CONNECT)
                .await
            {
                Err(error) if error.kind() == std::io::ErrorKind::AddrNotAvailable => {
                    ground.connect(backend, CONNECT).await
                }
                other => other,
            }
        } else {
            ground.connect(backend, CONNECT).await
        };
        match connected {
            Ok(stream) => return Some(stream),
            Err(error) => {
                debug!(error = &error as &dyn std::error::Error, %backend, "endpoint did not answer");
            }
        }
    }
    None
}

/// Addresses of the pod network.
fn is_pod(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(address) if address.octets()[..2] == [10, 244])
}
