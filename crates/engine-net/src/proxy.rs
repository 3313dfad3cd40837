//! Service addresses: one listener in the ground per address and port, each
//! connection passed on to one endpoint.

mod affinity;
mod connection;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use foreshore_sys::Ground;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::service::Backends;
use crate::view::Views;
use affinity::Affinity;

/// Connections at once over all Services: half of a usual limit of open files,
/// as each takes two. Beyond it new ones wait in the kernel's queue.
const CONNECTIONS: usize = 4096;
/// Wait before an address is tried again that could not be bound.
const REBIND: Duration = Duration::from_secs(1);

/// Keeps a listener for every front that has somebody behind it.
pub(crate) struct Proxy {
    ground: Ground,
    listeners: BTreeMap<SocketAddr, Listener>,
    connections: TaskTracker,
    permits: Arc<Semaphore>,
}

struct Listener {
    backends: watch::Sender<Backends>,
    closed: CancellationToken,
}

impl Proxy {
    pub(crate) fn new(ground: Ground) -> Self {
        Self {
            ground,
            listeners: BTreeMap::new(),
            connections: TaskTracker::new(),
            permits: Arc::new(Semaphore::new(CONNECTIONS)),
        }
    }

    /// Follows the views until the sender is gone; then every listener closes.
    pub(crate) async fn run(mut self, mut views: Views) {
        loop {
            let view = views.borrow_and_update().clone();
            if let Some(view) = view {
                self.apply(&view.services.fronts);
            }
            if views.changed().await.is_err() {
                return;
            }
        }
    }

    /// Opens, updates and closes listeners; connections that exist live on.
    ///
    /// A front without any endpoint has no listener: clients are refused at
    /// once, as they would be by the kernel's rules elsewhere.
    pub(crate) fn apply(&mut self, fronts: &BTreeMap<SocketAddr, Backends>) {
        let wanted = |front: &SocketAddr| {
            fronts
                .get(front)
                .filter(|backends| !backends.usable().is_empty())
        };
        self.listeners.retain(|front, listener| {
            let keep = wanted(front).is_some();
            if !keep {
                listener.closed.cancel();
            }
            keep
        });
        for (front, backends) in fronts
            .iter()
            .filter(|(_, backends)| !backends.usable().is_empty())
        {
            match self.listeners.get(front) {
                Some(listener) => {
                    listener.backends.send_if_modified(|current| {
                        let differs = current != backends;
                        if differs {
                            current.clone_from(backends);
                        }
                        differs
                    });
                }
                None => self.open(*front, backends.clone()),
            }
        }
    }

    fn open(&mut self, front: SocketAddr, backends: Backends) {
        let (sender, receiver) = watch::channel(backends);
        let closed = CancellationToken::new();
        let serving = Serving {
            ground: self.ground.clone(),
            front,
            backends: receiver,
            turn: AtomicUsize::new(0),
            affinity: Mutex::default(),
            connections: self.connections.clone(),
            permits: Arc::clone(&self.permits),
        };
        let stop = closed.clone();
        tokio::spawn(async move {
            stop.run_until_cancelled(Arc::new(serving).run()).await;
        });
        self.listeners.insert(
            front,
            Listener {
                backends: sender,
                closed,
            },
        );
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        for listener in self.listeners.values() {
            listener.closed.cancel();
        }
    }
}

/// One listener at work.
struct Serving {
    ground: Ground,
    front: SocketAddr,
    backends: watch::Receiver<Backends>,
    turn: AtomicUsize,
    affinity: Mutex<Affinity>,
    connections: TaskTracker,
    permits: Arc<Semaphore>,
}

impl Serving {
    async fn run(self: Arc<Self>) {
        let listener = loop {
            match self.bind() {
                Ok(listener) => break listener,
                Err(error) => {
                    let address = self.front;
                    warn!(error = &error as &dyn std::error::Error, %address, "service address is not free; will retry");
                    tokio::time::sleep(REBIND).await;
                }
            }
        };
        info!(address = %self.front, "service address opened");
        loop {
            let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((client, peer)) => {
                    let serving = Arc::clone(&self);
                    self.connections.spawn(async move {
                        serving.pass_on(client, peer).await;
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
    }

    fn bind(&self) -> io::Result<TcpListener> {
        // Node ports are the host's own loopback: there users reach them.
        let place = if self.front.ip().is_loopback() {
            &Ground::current()
        } else {
            &self.ground
        };
        TcpListener::from_std(place.tcp_listener(self.front)?)
    }

    async fn pass_on(&self, client: TcpStream, peer: SocketAddr) {
        let mut endpoints = self.in_turn();
        let within = self.backends.borrow().affinity;
        if let Some(within) = within {
            self.affinity()
                .arrange(peer.ip(), &mut endpoints, within, Instant::now());
        }
        let chosen = |endpoint| {
            if within.is_some() {
                self.affinity()
                    .remember(peer.ip(), endpoint, Instant::now());
            }
        };
        connection::pass_on(&self.ground, client, peer, &endpoints, chosen).await;
    }

    fn affinity(&self) -> MutexGuard<'_, Affinity> {
        self.affinity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The endpoints, beginning with the next in turn.
    fn in_turn(&self) -> Vec<SocketAddr> {
        let backends = self.backends.borrow();
        let mut usable = backends.usable().to_vec();
        if !usable.is_empty() {
            let first = self.turn.fetch_add(1, Ordering::Relaxed) % usable.len();
            usable.rotate_left(first);
        }
        usable
    }
}
