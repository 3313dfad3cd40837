//! A port on one side of a ground's border that leads to the other side.

use std::{io, net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result};
use foreshore_sys::Ground;
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A connection that is not accepted in this time will not be.
const DIAL: Duration = Duration::from_secs(10);

/// Where connections that arrived are led.
#[derive(Debug, Clone)]
enum Target {
    Inside(Ground, SocketAddr),
    Outside(SocketAddr),
}

impl Target {
    async fn connect(&self) -> io::Result<TcpStream> {
        match self {
            Self::Inside(ground, address) => ground.connect(*address, DIAL).await,
            Self::Outside(address) => timeout(DIAL, TcpStream::connect(address)).await?,
        }
    }
}

/// A forwarded port; dropping it closes the port and every connection.
#[derive(Debug)]
pub(super) struct Forward {
    address: SocketAddr,
    _open: DropGuard,
}

impl Forward {
    /// Opens a free port on the host's loopback that leads to `target` inside.
    pub(super) fn open(ground: Ground, target: SocketAddr) -> Result<Self> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))
            .context("cannot open a port on loopback")?;
        Self::start(listener, Target::Inside(ground, target))
    }

    /// Opens the same loopback address inside that `target` is on the host.
    pub(super) fn expose(ground: &Ground, target: SocketAddr) -> Result<Self> {
        let listener = ground
            .tcp_listener(target)
            .with_context(|| format!("cannot open `{target}` inside the ground"))?;
        Self::start(listener, Target::Outside(target))
    }

    /// It has a thread of its own, so it works whichever runtime, or none, the
    /// test uses.
    fn start(listener: std::net::TcpListener, target: Target) -> Result<Self> {
        listener
            .set_nonblocking(true)
            .context("cannot use the forwarded port")?;
        let address = listener
            .local_addr()
            .context("cannot tell the forwarded port")?;
        let shutdown = CancellationToken::new();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start a runtime for the forwarded port")?;
        let open = shutdown.clone().drop_guard();
        std::thread::Builder::new()
            .name("forward".to_owned())
            .spawn(move || {
                runtime.block_on(shutdown.run_until_cancelled(serve(listener, target)));
            })
            .context("cannot start the thread of the forwarded port")?;
        Ok(Self {
            address,
            _open: open,
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn serve(listener: std::net::TcpListener, target: Target) {
    let listener =
        TcpListener::from_std(listener).expect("a non-blocking listener and a running runtime");
    loop {
        match listener.accept().await {
            Ok((near, _)) => {
                tokio::spawn(carry(near, target.clone()));
            }
            // Out of descriptors, most likely: the next turn may have some.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Carries one connection. Either end failing ends both, as with a real wire;
/// the ends see that themselves, so there is nobody else to tell.
async fn carry(mut near: TcpStream, target: Target) {
    near.set_nodelay(true).ok();
    if let Ok(mut far) = target.connect().await {
        far.set_nodelay(true).ok();
        tokio::io::copy_bidirectional(&mut near, &mut far)
            .await
            .ok();
    }
}
