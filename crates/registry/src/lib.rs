//! Serves the OCI distribution protocol from disk.
//!
//! Content lies in one blob store; which repository holds what is a journal on
//! disk and a table in memory. An answer "created" means that both are durable.
//! The crate knows nothing of services or releases: who may do what is asked of
//! an [`Authorizer`], and what arrives is told to whoever listens.

mod access;
mod arrival;
mod http;
mod journal;
mod problem;
mod registry;
mod state;
mod upload;
mod witness;

pub use access::{Action, Authorizer, Credentials, Decision};
pub use arrival::Arrival;
pub use journal::JournalError;
pub use registry::{Options, Registry, RegistryError, StoredManifest};
pub use witness::{Testimony, Witness};
