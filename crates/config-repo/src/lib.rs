//! Reads the config repository and commits to it durably.
//!
//! [`Snapshot`] is one commit, read as far as needed; [`Mirror`] keeps a copy of
//! a repository elsewhere and refuses rewritten histories; [`Writer`] is the one
//! door for changes; [`Outcomes`] keeps what became of releases on a side ref.
//! What may be released is decided by `foreshore-release`: this crate carries
//! decisions out and never makes one.

mod bootstrap;
mod error;
mod follow;
mod history;
mod layout;
mod mirror;
mod outcomes;
mod reader;
mod requests;
mod sealed;
mod snapshot;
pub mod writer;

pub use bootstrap::{bootstrap, starter};
pub use error::{MirrorError, ReadError, WriteError, WriteFailure};
pub use history::{HistoryEntry, history};
pub use layout::Location;
pub use mirror::Mirror;
pub use outcomes::{Outcomes, ReportError};
pub use requests::requests;
pub use sealed::sealed_file;
pub use snapshot::{Manifest, ServiceDir, Snapshot};
pub use writer::{Answer, Job, Tip, Writer};
