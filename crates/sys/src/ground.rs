//! A ground: the network namespace in which pods, services and the node live.
//!
//! A Linux socket belongs to the namespace it was *created* in, whichever
//! thread uses it later. So the process stays where it is, and one small
//! thread inside the namespace makes sockets on request. The namespace is kept
//! alive by a bind mount, the pin, so that it outlives the process and pods in
//! it keep serving while the process is restarted.

mod loopback;
mod pin;
mod routes;
mod thread;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use rustix::thread::LinkNameSpaceType;
use tokio::net::{TcpSocket, TcpStream};

use self::loopback::Block;
use self::thread::Inside;

/// Connections a listener may have waiting before the kernel refuses more.
const BACKLOG: i32 = 1024;

/// Why a ground could not be made, opened or removed.
#[derive(Debug, thiserror::Error)]
pub enum GroundError {
    #[error(
        "this process may not create a network namespace: it needs root (`CAP_SYS_ADMIN`) or user namespaces"
    )]
    NotPermitted(#[source] io::Error),

    #[error("cannot {action} in the network namespace")]
    Prepare {
        action: &'static str,
        #[source]
        source: io::Error,
    },

    #[error("cannot {action} the ground's pin `{path}`")]
    Pin {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },

    #[error("`{0}` is not a pinned network namespace; no ground lives there")]
    NotPinned(PathBuf),

    #[error("cannot start the ground's thread")]
    Thread(#[source] io::Error),
}

/// A handle on a network namespace; clones share one thread.
#[derive(Debug, Clone)]
pub struct Ground {
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    /// The namespace the process is already in; sockets are made directly.
    Current,
    Pinned(Arc<Pinned>),
    /// None of its own: its addresses are loopback addresses of the machine.
    Loopback(PathBuf, Block),
}

#[derive(Debug)]
struct Pinned {
    pin: PathBuf,
    namespace: OwnedFd,
    inside: Inside,
}

impl Ground {
    /// Makes a new namespace and pins it on `pin`.
    ///
    /// Whatever was pinned there is let go first: processes still inside keep
    /// their old namespace, but nobody can reach them by this path any more.
    pub fn create(pin: &Path) -> Result<Self, GroundError> {
        pin::release(pin)?;
        let (inside, namespace) = Inside::create()?;
        pin::attach(pin, inside.thread_id())?;
        Ok(Self::pinned(pin, namespace, inside))
    }

    /// Makes a ground for machines that give no namespaces: its addresses are
    /// loopback addresses, see [`Self::on_machine`]. `pin` is a file that says so.
    pub fn create_loopback(pin: &Path) -> Result<Self, GroundError> {
        pin::release(pin)?;
        let block = loopback::attach(pin)?;
        Ok(Self::loopback(pin, block))
    }

    /// Finds out, in a thread, whether a namespace is to be had; it goes at once.
    pub fn try_namespace() -> Result<(), GroundError> {
        Inside::create().map(drop)
    }

    /// Re-attaches to the ground pinned on `pin`.
    pub fn open(pin: &Path) -> Result<Self, GroundError> {
        if let Some(block) = find_loopback(pin)? {
            return Ok(Self::loopback(pin, block));
        }
        let namespace = pin::open(pin)?;
        let inside = Inside::enter(namespace.as_fd())?;
        Ok(Self::pinned(pin, namespace, inside))
    }

    /// Re-attaches if a namespace is pinned on `pin`, creates one otherwise.
    pub fn open_or_create(pin: &Path) -> Result<Self, GroundError> {
        match Self::open(pin) {
            Err(GroundError::NotPinned(_)) => Self::create(pin),
            other => other,
        }
    }

    /// The namespace this process already is in.
    pub fn current() -> Self {
        Self {
            place: Place::Current,
        }
    }

    /// Lets go of the pin. The kernel frees the namespace when the last process
    /// and socket in it are gone. Removing the current namespace does nothing.
    pub fn remove(self) -> Result<(), GroundError> {
        match &self.place {
            Place::Current => Ok(()),
            Place::Pinned(pinned) => Self::remove_pin(&pinned.pin),
            Place::Loopback(pin, _) => Self::remove_pin(pin),
        }
    }

    /// Lets go of whatever is pinned on `pin`; nothing there is fine.
    pub fn remove_pin(pin: &Path) -> Result<(), GroundError> {
        pin::release(pin)
    }

    /// Where the namespace is pinned; `None` for the current one.
    pub fn pin(&self) -> Option<&Path> {
        match &self.place {
            Place::Current => None,
            Place::Pinned(pinned) => Some(&pinned.pin),
            Place::Loopback(pin, _) => Some(pin),
        }
    }

    /// Whether its addresses are loopback addresses of the machine.
    pub fn is_loopback(&self) -> bool {
        matches!(self.place, Place::Loopback(..))
    }

    /// An address of the ground as programs in it must use it.
    pub fn on_machine(&self, address: Ipv4Addr) -> Ipv4Addr {
        match self.place {
            Place::Loopback(_, block) => block.on_machine(address),
            Place::Current | Place::Pinned(_) => address,
        }
    }

    /// The same for a socket's address.
    pub fn socket_on_machine(&self, address: SocketAddr) -> SocketAddr {
        match self.place {
            Place::Loopback(_, block) => block.socket_on_machine(address),
            Place::Current | Place::Pinned(_) => address,
        }
    }

    /// A listening, non-blocking socket with `SO_REUSEADDR` in the ground.
    pub fn tcp_listener(&self, address: SocketAddr) -> io::Result<TcpListener> {
        let address = self.socket_on_machine(address);
        self.run(move || {
            let socket = new_socket(address, SocketType::STREAM)?;
            sockopt::set_socket_reuseaddr(&socket, true)?;
            rustix::net::bind(&socket, &address)?;
            rustix::net::listen(&socket, BACKLOG)?;
            Ok(TcpListener::from(socket))
        })
    }

    /// A non-blocking TCP socket in the ground, neither bound nor connected.
    /// `family` is any address of the family wanted.
    pub fn tcp_socket(&self, family: SocketAddr) -> io::Result<OwnedFd> {
        self.run(move || new_socket(family, SocketType::STREAM))
    }

    /// A bound, non-blocking UDP socket in the ground.
    pub fn udp_socket(&self, address: SocketAddr) -> io::Result<UdpSocket> {
        let address = self.socket_on_machine(address);
        self.run(move || {
            let socket = new_socket(address, SocketType::DGRAM)?;
            rustix::net::bind(&socket, &address)?;
            Ok(UdpSocket::from(socket))
        })
    }

    /// Connects to `address` in the ground within `limit`.
    pub async fn connect(&self, address: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
        let address = self.socket_on_machine(address);
        let socket = self.tcp_socket(address)?;
        connect_socket(socket, address, limit).await
    }

    /// Connects to `address` from the local address `from`.
    ///
    /// The port of `from` is usually 0. Pods see `from` as their peer.
    pub async fn connect_from(
        &self,
        from: SocketAddr,
        address: SocketAddr,
        limit: Duration,
    ) -> io::Result<TcpStream> {
        let (from, address) = (
            self.socket_on_machine(from),
            self.socket_on_machine(address),
        );
        let socket = self.run(move || {
            let socket = new_socket(address, SocketType::STREAM)?;
            rustix::net::bind(&socket, &from)?;
            Ok(socket)
        })?;
        connect_socket(socket, address, limit).await
    }

    /// Makes `command` start its program inside the ground.
    pub fn prepare(&self, command: &mut Command) {
        let Place::Pinned(pinned) = &self.place else {
            return;
        };
        let pinned = Arc::clone(pinned);
        // SAFETY: between fork and exec only `setns` is called, a plain system
        // call; the descriptor is open because the closure owns its `Pinned`.
        unsafe {
            command.pre_exec(move || enter(&pinned.namespace));
        }
    }

    /// Moves the calling thread into the ground, for good. Meant for programs
    /// with one thread, such as the pod shim.
    pub fn enter(&self) -> io::Result<()> {
        match &self.place {
            Place::Current | Place::Loopback(..) => Ok(()),
            Place::Pinned(pinned) => enter(&pinned.namespace),
        }
    }

    /// Runs `work` on a thread inside the ground and waits for it; for reads
    /// of `/proc/net` and such. `work` must be short: all users share the thread.
    pub fn run<T, F>(&self, work: F) -> io::Result<T>
    where
        T: Send + 'static,
        F: FnOnce() -> io::Result<T> + Send + 'static,
    {
        match &self.place {
            Place::Current | Place::Loopback(..) => work(),
            Place::Pinned(pinned) => pinned.inside.run(work),
        }
    }

    fn loopback(pin: &Path, block: Block) -> Self {
        Self {
            place: Place::Loopback(pin.to_path_buf(), block),
        }
    }

    fn pinned(pin: &Path, namespace: OwnedFd, inside: Inside) -> Self {
        Self {
            place: Place::Pinned(Arc::new(Pinned {
                pin: pin.to_path_buf(),
                namespace,
                inside,
            })),
        }
    }
}

fn find_loopback(pin: &Path) -> Result<Option<Block>, GroundError> {
    loopback::find(pin).map_err(|source| GroundError::Pin {
        action: "read",
        path: pin.to_path_buf(),
        source,
    })
}

fn enter(namespace: &OwnedFd) -> io::Result<()> {
    rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
    Ok(())
}

fn new_socket(family: SocketAddr, kind: SocketType) -> io::Result<OwnedFd> {
    let family = match family {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(family, kind, flags, None)?)
}

async fn connect_socket(
    socket: OwnedFd,
    address: SocketAddr,
    limit: Duration,
) -> io::Result<TcpStream> {
    let socket = TcpSocket::from_std_stream(std::net::TcpStream::from(socket));
    match tokio::time::timeout(limit, socket.connect(address)).await {
        Ok(connected) => connected,
        Err(_elapsed) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer from `{address}` within {limit:?}"),
        )),
    }
}

/// Moves the calling thread into the namespace pinned on `pin`, for good.
///
/// For programs with one thread, which need no [`Ground`] to serve others.
pub fn enter_pinned(pin: &Path) -> Result<(), GroundError> {
    if find_loopback(pin)?.is_some() {
        return Ok(());
    }
    let namespace = pin::open(pin)?;
    enter(&namespace).map_err(|source| GroundError::Pin {
        action: "enter",
        path: pin.to_path_buf(),
        source,
    })
}
