//! Hosts the roles in one process: start order, health, shutdown.
//!
//! [`Server`] is the role that people, CI and agents talk to; [`platform`]
//! starts it together with a ground and an agent, as `foreshore up` does.

mod access;
mod api;
mod arrivals;
mod artifacts;
mod changes;
pub mod credentials;
mod doors;
mod error;
mod loads;
pub mod login;
mod metrics;
mod notify;
mod pages;
pub mod platform;
mod previews;
mod problem;
mod public;
mod recovery;
pub mod roles;
mod server;
mod source;
mod state;
mod tls;
mod witness;

pub use api::openapi;
pub use error::ServerError;
pub use foreshore_agent::install;
pub use foreshore_dashboard::Running;
pub use public::Public;
pub use server::{Options, Server};
pub use tls::{CertificateFiles, TlsError};
pub use url::Url;
