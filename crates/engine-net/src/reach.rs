//! From where an endpoint is reached: inside the ground, or from the host.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use foreshore_sys::Ground;
use tokio::net::TcpStream;

/// An endpoint of the ground answers at once or is gone.
const CONNECT: Duration = Duration::from_secs(2);

/// Whether the address belongs to the ground. Others are systems beside it
/// that a Service without a selector leads to; they are reached from the host.
pub(crate) fn is_inside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => matches!(address.octets()[..2], [10, 244 | 96 | 250]),
        IpAddr::V6(_) => false,
    }
}

/// Connects to an endpoint, wherever it is.
pub(crate) async fn connect(ground: &Ground, endpoint: SocketAddr) -> io::Result<TcpStream> {
    if is_inside(endpoint.ip()) {
        ground.connect(endpoint, CONNECT).await
    } else {
        Ground::current().connect(endpoint, CONNECT).await
    }
}

/// Connects such that the endpoint sees `peer`, if it is a pod.
pub(crate) async fn connect_for(
    ground: &Ground,
    peer: IpAddr,
    endpoint: SocketAddr,
) -> io::Result<TcpStream> {
    if !(is_pod(peer) && is_inside(endpoint.ip())) {
        return connect(ground, endpoint).await;
    }
    let from = SocketAddr::new(peer, 0);
    match ground.connect_from(from, endpoint, CONNECT).await {
        Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
            connect(ground, endpoint).await
        }
        other => other,
    }
}

/// Addresses of the pod network.
fn is_pod(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(address) if address.octets()[..2] == [10, 244])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_ground_are_reached_inside_it() {
        let inside = |text: &str| is_inside(text.parse().unwrap());
        assert!(inside("10.244.3.4") && inside("10.96.0.1") && inside("10.250.0.1"));
        assert!(!inside("192.168.1.5") && !inside("10.1.2.3") && !inside("::1"));
    }
}
