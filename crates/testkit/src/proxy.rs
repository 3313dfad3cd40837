//! A TCP proxy that treats connections badly, on purpose.
//!
//! It stands between a client and a server and delays, slows, stalls or cuts.
//! Faults apply to connections made after they are set, except [`Proxy::cut`],
//! which ends the ones there are.

mod pump;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context as _, Result};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// What is done to a connection. The default does nothing.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// Every piece of data arrives this much later.
    pub latency: Duration,
    /// Each direction carries at most this many bytes a second.
    pub rate: Option<u64>,
    /// The connection is reset once this many bytes went to the client.
    pub reset_after: Option<u64>,
    /// Nothing more is carried, either way, after this many bytes to the
    /// client; the connection stays open.
    pub stall_after: Option<u64>,
    /// The client's data goes nowhere and is never answered: the connection is
    /// open at this end only.
    pub half_open: bool,
    /// New connections are reset at once.
    pub refuse: bool,
}

/// A running proxy; dropping it ends it and all its connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    faults: Arc<Mutex<Faults>>,
    cut: watch::Sender<u64>,
    _running: DropGuard,
}

impl Proxy {
    /// Starts a proxy to `target` on a free port of loopback.
    pub async fn start(target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .context("cannot open a port for the proxy")?;
        let address = listener
            .local_addr()
            .context("cannot tell the proxy's port")?;
        let faults = Arc::new(Mutex::new(Faults::default()));
        let (cut, cuts) = watch::channel(0);
        let shutdown = CancellationToken::new();
        let running = shutdown.clone().drop_guard();
        let server = Server {
            listener,
            target,
            faults: Arc::clone(&faults),
            cuts,
        };
        tokio::spawn(async move { shutdown.run_until_cancelled(server.serve()).await });
        Ok(Self {
            address,
            faults,
            cut,
            _running: running,
        })
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Treats connections made from now on like this.
    pub fn set(&self, faults: Faults) {
        *self
            .faults
            .lock()
            .expect("nobody panics while holding the faults") = faults;
    }

    /// Resets every connection there is.
    pub fn cut(&self) {
        self.cut.send_modify(|count| *count += 1);
    }
}

struct Server {
    listener: TcpListener,
    target: SocketAddr,
    faults: Arc<Mutex<Faults>>,
    cuts: watch::Receiver<u64>,
}

impl Server {
    async fn serve(self) {
        // Dropped with this future, which ends every connection.
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => {
                    let Ok((client, _)) = accepted else { continue };
                    let faults = self.faults.lock().expect("nobody panics while holding the faults").clone();
                    connections.spawn(connection(client, self.target, faults, self.cuts.clone()));
                }
                Some(_ended) = connections.join_next() => {}
            }
        }
    }
}

async fn connection(
    client: TcpStream,
    target: SocketAddr,
    faults: Faults,
    mut cuts: watch::Receiver<u64>,
) {
    cuts.mark_unchanged();
    if faults.refuse {
        reset(&client);
        return;
    }
    let Ok(server) = TcpStream::connect(target).await else {
        reset(&client);
        return;
    };
    for end in [&client, &server] {
        // Latency is what the faults say, not what the kernel's batching adds.
        end.set_nodelay(true).ok();
    }
    let ends_badly = tokio::select! {
        end = pump::carry(&client, &server, &faults) => end == pump::End::Reset,
        changed = cuts.changed() => changed.is_ok(),
    };
    if ends_badly {
        reset(&client);
        reset(&server);
    }
}

/// Makes closing the connection send a reset instead of an orderly end.
fn reset(end: &TcpStream) {
    // Fails only if the other end was quicker, and then it is reset already.
    rustix::net::sockopt::set_socket_linger(end, Some(Duration::ZERO)).ok();
}

#[cfg(test)]
mod tests;
