//! Service addresses, DNS, ingress: what kube-proxy, a cluster DNS and an
//! ingress controller do, in one process and without touching the kernel.
//!
//! It is a client of the Kubernetes API. Each address of a Service is a
//! listening socket inside the ground; connections are passed on to a ready
//! endpoint. When the API goes away, the last known state is served on.

mod certificates;
mod dns;
mod ingress;
mod net;
mod proxy;
mod reach;
mod routes;
mod service;
mod udp;
mod view;
mod watch;
mod zone;

pub use net::{DEFAULT_DNS_ADDRESS, Net, NetHandle, NetOptions, NetStatus};
