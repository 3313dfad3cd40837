//! What the API server is built from.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use foreshore_engine_store::Store;
use jiff::Timestamp;
use tokio::net::TcpStream;

use crate::pki::Pki;
use crate::user::UserInfo;

/// Where the time comes from.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new(foreshore_model::clock::now)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Clock")
    }
}

/// A connection attempt under way.
pub type Dialing = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

/// Reaches addresses of the ground, such as a node's kubelet endpoints.
pub trait Dialer: Send + Sync {
    fn dial(&self, address: SocketAddr) -> Dialing;
}

/// Plain connections from this process's own network.
#[derive(Clone, Copy, Debug, Default)]
pub struct Direct;

impl Dialer for Direct {
    fn dial(&self, address: SocketAddr) -> Dialing {
        Box::pin(TcpStream::connect(address))
    }
}

/// The addresses Services get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceNetwork {
    pub base: Ipv4Addr,
    pub prefix: u8,
}

impl Default for ServiceNetwork {
    fn default() -> Self {
        Self {
            base: Ipv4Addr::new(10, 96, 0, 0),
            prefix: 16,
        }
    }
}

impl ServiceNetwork {
    /// The `number`th address.
    pub fn address(&self, number: u32) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.base).wrapping_add(number))
    }

    /// How many addresses there are.
    pub fn size(&self) -> u32 {
        1_u32
            .checked_shl(32_u32.saturating_sub(self.prefix.into()))
            .unwrap_or(u32::MAX)
    }

    /// Position of an address, if it lies in the network.
    pub fn number_of(&self, address: Ipv4Addr) -> Option<u32> {
        let number = u32::from(address).checked_sub(u32::from(self.base))?;
        (number < self.size()).then_some(number)
    }

    /// The API's own address, that of the Service `kubernetes`.
    pub fn api(&self) -> Ipv4Addr {
        self.address(1)
    }

    /// The cluster DNS, given only to those who ask for it by address.
    pub fn dns(&self) -> Ipv4Addr {
        self.address(10)
    }
}

/// How to build an API server; see [`Options::new`] for the defaults.
#[derive(Clone)]
pub struct Options {
    pub store: Store,
    pub pki: Pki,
    pub clock: Clock,
    pub service_network: ServiceNetwork,
    /// How node endpoints are reached.
    pub dialer: Arc<dyn Dialer>,
    /// A client that does not finish its body in this time is refused.
    pub body_limit: Duration,
    /// Bearer tokens with a fixed meaning.
    pub tokens: Vec<(String, UserInfo)>,
}

impl Options {
    pub fn new(store: Store, pki: Pki) -> Self {
        Self {
            store,
            pki,
            clock: Clock::default(),
            service_network: ServiceNetwork::default(),
            dialer: Arc::new(Direct),
            // As on a real server.
            body_limit: Duration::from_mins(1),
            tokens: Vec::new(),
        }
    }
}
