//! Connections through fronts, on addresses of the loopback network.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use foreshore_sys::Ground;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::Proxy;
use crate::service::Backends;

/// A server that greets each connection with its name, then echoes.
async fn greeter(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                stream.write_all(name.as_bytes()).await.unwrap();
                let (mut reader, mut writer) = stream.split();
                tokio::io::copy(&mut reader, &mut writer).await.unwrap();
            });
        }
    });
    address
}

/// An address on which nobody listens, of a host on the loopback network.
async fn free(host: &str) -> SocketAddr {
    TcpListener::bind(format!("{host}:0"))
        .await
        .unwrap()
        .local_addr()
        .unwrap()
}

/// An address that refuses: bound for as long as the tests run, so that
/// nobody else gets it, and never listened on.
fn dead(host: &str) -> SocketAddr {
    let socket = Box::leak(Box::new(tokio::net::TcpSocket::new_v4().unwrap()));
    socket.bind(format!("{host}:0").parse().unwrap()).unwrap();
    socket.local_addr().unwrap()
}

async fn greeting(stream: &mut TcpStream) -> String {
    let mut name = [0; 1];
    let read = tokio::time::timeout(Duration::from_secs(30), stream.read_exact(&mut name));
    read.await.unwrap().unwrap();
    String::from_utf8(name.to_vec()).unwrap()
}

/// Connects as soon as the listener is there.
async fn connect(front: SocketAddr) -> TcpStream {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        match TcpStream::connect(front).await {
            Ok(stream) => return stream,
            Err(error) => assert!(tokio::time::Instant::now() < deadline, "{error}"),
        }
        tokio::task::yield_now().await;
    }
}

fn fronts(front: SocketAddr, ready: &[SocketAddr]) -> BTreeMap<SocketAddr, Backends> {
    BTreeMap::from([(
        front,
        Backends {
            ready: ready.to_vec(),
            ..Backends::default()
        },
    )])
}

#[tokio::test]
async fn endpoints_take_turns_and_dead_ones_are_skipped() {
    let (one, two) = (greeter("1").await, greeter("2").await);
    let (front, dead) = (free("127.0.7.1").await, dead("127.0.7.2"));
    let mut proxy = Proxy::new(Ground::current());
    proxy.apply(&fronts(front, &[one, dead, two]));
    let mut names = Vec::new();
    for _ in 0..6 {
        names.push(greeting(&mut connect(front).await).await);
    }
    assert_eq!(names, ["1", "2", "2", "1", "2", "2"]);
}

#[tokio::test]
async fn a_front_without_endpoints_refuses_and_open_connections_live_on() {
    let one = greeter("1").await;
    let front = free("127.0.7.3").await;
    let mut proxy = Proxy::new(Ground::current());
    proxy.apply(&fronts(front, &[one]));
    let mut open = connect(front).await;
    assert_eq!(greeting(&mut open).await, "1");

    proxy.apply(&fronts(front, &[]));
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        match TcpStream::connect(front).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => break,
            _ => assert!(tokio::time::Instant::now() < deadline, "the listener stays"),
        }
        tokio::task::yield_now().await;
    }
    open.write_all(b"x").await.unwrap();
    assert_eq!(greeting(&mut open).await, "x");
}

#[tokio::test]
async fn a_client_is_reset_when_no_endpoint_answers() {
    let (front, dead) = (free("127.0.7.4").await, dead("127.0.7.5"));
    let mut proxy = Proxy::new(Ground::current());
    proxy.apply(&fronts(front, &[dead]));
    let mut client = connect(front).await;
    let error = client.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_client_stays_with_its_endpoint_where_the_service_wants_that() {
    let (one, two) = (greeter("1").await, greeter("2").await);
    let front = free("127.0.7.6").await;
    let mut proxy = Proxy::new(Ground::current());
    let mut fronts = fronts(front, &[one, two]);
    for backends in fronts.values_mut() {
        backends.affinity = Some(Duration::from_hours(1));
    }
    proxy.apply(&fronts);
    let first = greeting(&mut connect(front).await).await;
    for _ in 0..5 {
        assert_eq!(greeting(&mut connect(front).await).await, first);
    }
}
