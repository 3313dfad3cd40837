//! One ordered revision space over named objects: compare-and-swap, group commit,
//! snapshots and watches. Knows nothing about Kubernetes beyond "resource, namespace, name".
//!
//! Memory is the read model, the disk is the log: every write is durable before it is
//! published to readers and watchers and before its caller hears of it.

mod committer;
mod disk;
mod history;
mod hub;
mod layer;
mod object;
mod open_error;
mod snapshot;
mod store;
mod watcher;

pub use crate::committer::{CommitError, Expect, Op};
pub use crate::hub::{Event, EventKind, Scope, WatchError};
pub use crate::layer::Layer;
pub use crate::object::{Body, Facts, Key, Object, Resource};
pub use crate::open_error::OpenError;
pub use crate::snapshot::Snapshot;
pub use crate::store::{Backend, Durability, Limits, Options, Store};
pub use crate::watcher::{Closed, Watcher};
/// What a [`Layer`] opens.
pub use redb::StorageBackend;
