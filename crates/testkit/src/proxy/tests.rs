//! Each fault, seen from the client's side.

use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// A server that sends everything back.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut read, mut write) = client.split();
                tokio::io::copy(&mut read, &mut write).await.ok();
            });
        }
    });
    address
}

async fn connected(faults: Faults) -> (Proxy, TcpStream) {
    let proxy = Proxy::start(echo().await).await.unwrap();
    proxy.set(faults);
    let client = TcpStream::connect(proxy.address()).await.unwrap();
    (proxy, client)
}

/// Sends `bytes`, ends the sending side, and reads until the other end does.
async fn exchange(client: &mut TcpStream, bytes: &[u8]) -> (Vec<u8>, std::io::Result<()>) {
    client.write_all(bytes).await.unwrap();
    client.shutdown().await.unwrap();
    let mut answer = Vec::new();
    let outcome = client.read_to_end(&mut answer).await.map(|_| ());
    (answer, outcome)
}

#[tokio::test]
async fn without_faults_bytes_and_the_end_come_through() {
    let (_proxy, mut client) = connected(Faults::default()).await;
    let bytes: Vec<u8> = (0..100_000)
        .map(|number: u32| number.to_le_bytes()[0])
        .collect();
    let (answer, outcome) = exchange(&mut client, &bytes).await;
    assert!(outcome.is_ok());
    assert_eq!(answer, bytes);
}

#[tokio::test]
async fn latency_delays_both_directions() {
    let latency = Duration::from_millis(60);
    let (_proxy, mut client) = connected(Faults {
        latency,
        ..Faults::default()
    })
    .await;
    let started = Instant::now();
    exchange(&mut client, b"ping").await.1.unwrap();
    assert!(started.elapsed() >= 2 * latency);
}

#[tokio::test]
async fn a_limited_rate_takes_its_time() {
    let (_proxy, mut client) = connected(Faults {
        rate: Some(100_000),
        ..Faults::default()
    })
    .await;
    let started = Instant::now();
    exchange(&mut client, &vec![7; 20_000]).await.1.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn a_reset_comes_at_exactly_the_given_byte() {
    let (_proxy, mut client) = connected(Faults {
        reset_after: Some(10),
        ..Faults::default()
    })
    .await;
    client.write_all(&[1; 100]).await.unwrap();
    let mut answer = [0; 10];
    client.read_exact(&mut answer).await.unwrap();
    let error = client.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_stalled_connection_stays_open_and_silent() {
    let (_proxy, mut client) = connected(Faults {
        stall_after: Some(10),
        ..Faults::default()
    })
    .await;
    client.write_all(&[1; 100]).await.unwrap();
    let mut answer = [0; 10];
    client.read_exact(&mut answer).await.unwrap();
    let more = tokio::time::timeout(Duration::from_millis(100), client.read_u8()).await;
    assert!(more.is_err(), "the connection ended: {more:?}");
}

#[tokio::test]
async fn a_half_open_connection_swallows_what_is_sent() {
    let (_proxy, mut client) = connected(Faults {
        half_open: true,
        ..Faults::default()
    })
    .await;
    client.write_all(b"anybody?").await.unwrap();
    let answer = tokio::time::timeout(Duration::from_millis(100), client.read_u8()).await;
    assert!(answer.is_err(), "somebody answered: {answer:?}");
}

#[tokio::test]
async fn cutting_resets_the_connections_there_are_and_no_later_ones() {
    let (proxy, mut client) = connected(Faults::default()).await;
    client.write_all(b"x").await.unwrap();
    client.read_u8().await.unwrap();
    proxy.cut();
    assert!(client.read_u8().await.is_err());
    let mut next = TcpStream::connect(proxy.address()).await.unwrap();
    exchange(&mut next, b"again").await.1.unwrap();
}

#[tokio::test]
async fn a_refusing_proxy_resets_at_once() {
    let (_proxy, mut client) = connected(Faults {
        refuse: true,
        ..Faults::default()
    })
    .await;
    assert!(client.read_u8().await.is_err());
}
