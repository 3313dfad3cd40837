//! Connections to endpoints that wait for the next request.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use foreshore_sys::Ground;
use rustix::net::RecvFlags;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::buffer::Buffer;
use crate::reach;

/// Idle connections kept per endpoint, and for how long.
const CONNECTIONS: usize = 128;
const IDLE: Duration = Duration::from_secs(30);
/// How often those that waited too long are looked for.
const SWEEP: Duration = Duration::from_secs(5);
/// Sets of buffers kept for the next requests.
const DESKS: usize = 256;
/// Room for what an endpoint says at once.
const INBOUND: usize = 16 * 1024;
/// A head must fit in it.
const INBOUND_MOST: usize = 64 * 1024;
/// What a desk may keep of its room.
const KEPT: usize = 32 * 1024;

/// The buffers of one request under way.
#[derive(Debug)]
pub(super) struct Desk {
    /// The request as endpoints get it.
    pub(super) request: Vec<u8>,
    /// What the client gets next.
    pub(super) answer: Vec<u8>,
    /// What an endpoint said.
    pub(super) inbound: Buffer,
}

/// Connections and buffers, for all requests together.
pub(in crate::ingress) struct Endpoints {
    ground: Ground,
    idle: Mutex<HashMap<SocketAddr, Vec<Idle>>>,
    desks: Mutex<Vec<Desk>>,
}

struct Idle {
    stream: TcpStream,
    since: Instant,
}

impl Endpoints {
    pub(in crate::ingress) fn new(ground: Ground) -> Self {
        Self {
            ground,
            idle: Mutex::default(),
            desks: Mutex::default(),
        }
    }

    /// Makes a connection.
    pub(super) async fn open(&self, endpoint: SocketAddr) -> io::Result<TcpStream> {
        let stream = reach::connect(&self.ground, endpoint).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// A connection that waited. `asks_the_kernel` finds out for certain
    /// whether the endpoint has closed it meanwhile; without that, whoever
    /// gets it must be ready to ask again.
    pub(super) fn take(&self, endpoint: SocketAddr, asks_the_kernel: bool) -> Option<TcpStream> {
        loop {
            let stream = self.idle().get_mut(&endpoint)?.pop()?.stream;
            if is_quiet(&stream) && !(asks_the_kernel && has_ended(&stream)) {
                return Some(stream);
            }
        }
    }

    /// Lets a connection wait for the next request.
    pub(super) fn give(&self, endpoint: SocketAddr, stream: TcpStream) {
        let mut idle = self.idle();
        let waiting = idle.entry(endpoint).or_default();
        if waiting.len() < CONNECTIONS {
            let since = Instant::now();
            waiting.push(Idle { stream, since });
        }
    }

    /// Closes, for ever, what endpoints closed and what waited too long.
    pub(in crate::ingress) async fn sweep(&self) {
        loop {
            tokio::time::sleep(SWEEP).await;
            self.idle().retain(|_, waiting| {
                waiting.retain(|idle| idle.since.elapsed() < IDLE && is_quiet(&idle.stream));
                !waiting.is_empty()
            });
        }
    }

    pub(super) fn desk(&self) -> Desk {
        let kept = self.desks().pop();
        kept.unwrap_or_else(|| Desk {
            request: Vec::new(),
            answer: Vec::new(),
            inbound: Buffer::new(INBOUND, INBOUND_MOST),
        })
    }

    pub(super) fn put_back(&self, mut desk: Desk) {
        let mut desks = self.desks();
        if desks.len() < DESKS {
            desk.inbound.clear();
            desk.inbound.shrink(INBOUND);
            for bytes in [&mut desk.request, &mut desk.answer] {
                bytes.clear();
                bytes.shrink_to(KEPT);
            }
            desks.push(desk);
        }
    }

    fn idle(&self) -> MutexGuard<'_, HashMap<SocketAddr, Vec<Idle>>> {
        let held = self.idle.lock();
        held.expect("no code panics while it holds the connections")
    }

    fn desks(&self) -> MutexGuard<'_, Vec<Desk>> {
        let held = self.desks.lock();
        held.expect("no code panics while it holds the desks")
    }
}

/// Whether nothing was heard on it, as far as this process was told: only then
/// does the kernel have to be asked.
fn is_quiet(stream: &TcpStream) -> bool {
    let read = stream.try_read(&mut [0]);
    read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// Asks the kernel whether anything came, were it the end.
fn has_ended(stream: &TcpStream) -> bool {
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    let heard = rustix::net::recv(stream, &mut [0], flags);
    heard.map(drop) != Err(rustix::io::Errno::AGAIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_the_endpoint_closed_is_not_handed_out() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let endpoints = Endpoints::new(Ground::current());
        let kept = endpoints.open(address).await.unwrap();
        let (other_end, _) = listener.accept().await.unwrap();
        endpoints.give(address, kept);
        let taken = endpoints.take(address, true).expect("it is open");
        endpoints.give(address, taken);
        drop(other_end);
        // The kernel knows at once, whatever this process was told.
        assert!(endpoints.take(address, true).is_none());
        assert!(endpoints.take(address, false).is_none());
    }

    #[tokio::test]
    async fn no_more_connections_wait_than_may() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let endpoints = Endpoints::new(Ground::current());
        let mut accepted = Vec::new();
        for _ in 0..CONNECTIONS + 3 {
            let stream = endpoints.open(address).await.unwrap();
            accepted.push(listener.accept().await.unwrap());
            endpoints.give(address, stream);
        }
        assert_eq!(accepted.len(), CONNECTIONS + 3);
        let waiting = std::iter::from_fn(|| endpoints.take(address, true)).count();
        assert_eq!(waiting, CONNECTIONS);
    }
}
