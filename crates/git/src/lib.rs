//! Runs git plumbing, serves smart HTTP.
//!
//! A [`Repository`] is a bare repository on disk: no worktree, no index, no
//! hooks, and nothing of the user's git configuration. What [`Repository`]
//! acknowledges has reached the disk. Its methods block; call them from a thread
//! of your own or `spawn_blocking`. Only [`smart_http`] is async.
//!
//! The crate knows nothing of releases or of what the files mean.

mod batch;
mod checkout;
mod command;
mod durable;
mod error;
mod lock;
mod log;
mod name;
mod object;
mod pack;
mod refs;
mod remote;
mod repository;
mod signature;
pub mod smart_http;
mod source;
mod tree;
mod write;

pub use error::GitError;
pub use log::{CommitInfo, LogQuery, trailers_of};
pub use name::{check_path, check_ref};
pub use object::{EntryKind, ObjectId, ObjectIdError, TreeEntry};
pub use refs::{Expected, RefUpdate};
pub use remote::{Credential, FetchError, Push, PushError, Rejection, Remote, RemoteHead};
pub use repository::Repository;
pub use signature::{CommitKey, CommitKeyError, Signature, Signer};
pub use source::{SourceError, SourceFacts};
pub use tree::TreeChange;
pub use write::{Chain, Change, NewCommit};
