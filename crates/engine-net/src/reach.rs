//! From where an endpoint is reached: inside the ground, or from the host.
//!
//! The ground has no way out, so its own routes decide: what it knows no way
//! to is a system beside it, which a Service without a selector leads to.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use foreshore_sys::Ground;
use tokio::net::{TcpStream, UdpSocket};

/// An endpoint of the ground answers at once or is gone.
const CONNECT: Duration = Duration::from_secs(2);

/// Connects to an endpoint, wherever it is.
pub(crate) async fn connect(ground: &Ground, endpoint: SocketAddr) -> io::Result<TcpStream> {
    match ground.connect(endpoint, CONNECT).await {
        Err(error) if is_no_way(&error) => Ground::current().connect(endpoint, CONNECT).await,
        other => other,
    }
}

/// Connects such that the endpoint sees `peer`, if it is a pod.
pub(crate) async fn connect_for(
    ground: &Ground,
    peer: IpAddr,
    endpoint: SocketAddr,
) -> io::Result<TcpStream> {
    if !is_pod(peer) {
        return connect(ground, endpoint).await;
    }
    let from = SocketAddr::new(peer, 0);
    match ground.connect_from(from, endpoint, CONNECT).await {
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable || is_no_way(&error) => {
            connect(ground, endpoint).await
        }
        other => other,
    }
}

/// Makes a socket that sends to the endpoint, and shows it the address of the
/// client where the ground can.
pub(crate) async fn datagrams_for(
    ground: &Ground,
    client: IpAddr,
    endpoint: SocketAddr,
) -> io::Result<UdpSocket> {
    let anyone = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let from = if is_own(client) { client } else { anyone };
    match datagrams(ground, from, endpoint).await {
        Err(error) if is_no_way(&error) => datagrams(&Ground::current(), anyone, endpoint).await,
        other => other,
    }
}

async fn datagrams(ground: &Ground, from: IpAddr, endpoint: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::from_std(ground.udp_socket(SocketAddr::new(from, 0))?)?;
    socket.connect(ground.socket_on_machine(endpoint)).await?;
    Ok(socket)
}

/// Whether the kernel knows no route.
fn is_no_way(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable
    )
}

/// Addresses every ground can bind.
fn is_own(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(address) if matches!(address.octets()[..2], [10, 244 | 96 | 250]))
}

/// Addresses of the pod network.
fn is_pod(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(address) if address.octets()[..2] == [10, 244])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_missing_routes_lead_out_of_the_ground() {
        for kind in [ErrorKind::NetworkUnreachable, ErrorKind::HostUnreachable] {
            assert!(is_no_way(&kind.into()), "{kind}");
        }
        for kind in [ErrorKind::ConnectionRefused, ErrorKind::TimedOut] {
            assert!(!is_no_way(&kind.into()), "{kind}");
        }
    }

    #[tokio::test]
    async fn the_routes_of_the_ground_decide_from_where_an_endpoint_is_reached() {
        // Only root makes a ground here.
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let ground = Ground::create(&folder.path().join("ground")).unwrap();
        let listener = ground
            .tcp_listener("10.244.9.9:0".parse().unwrap())
            .unwrap();
        let pod = listener.local_addr().unwrap();
        connect(&ground, pod).await.unwrap();
        connect_for(&ground, "10.244.7.7".parse().unwrap(), pod)
            .await
            .unwrap();

        let on_host = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let hidden = connect(&ground, on_host.local_addr().unwrap()).await;
        assert_eq!(
            hidden.unwrap_err().kind(),
            ErrorKind::ConnectionRefused,
            "the ground has a loopback of its own"
        );
        if let Some(address) = address_of_the_host() {
            let beside = std::net::TcpListener::bind((address, 0)).unwrap();
            connect(&ground, beside.local_addr().unwrap())
                .await
                .unwrap();
        }
        drop(listener);
        ground.remove().unwrap();
    }

    /// An address of this machine that is not loopback, if it has one.
    fn address_of_the_host() -> Option<IpAddr> {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
        socket.connect("198.51.100.1:9").ok()?;
        Some(socket.local_addr().ok()?.ip())
    }
}
