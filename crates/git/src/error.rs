//! Why an operation on a repository did not happen.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::object::ObjectId;

/// Why git could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    #[error("cannot start `git {command}`; is git installed?")]
    Start {
        command: String,
        #[source]
        cause: io::Error,
    },
    #[error("lost the connection to `git {command}`")]
    Pipe {
        command: String,
        #[source]
        cause: io::Error,
    },
    #[error("`git {command}` failed ({status}): {stderr}")]
    Failed {
        command: String,
        status: String,
        stderr: String,
    },
    #[error("`git {command}` did not end within {}s", after.as_secs_f32())]
    Deadline { command: String, after: Duration },
    #[error("`git {command}` answered what cannot be read: {what}")]
    Malformed { command: String, what: String },
    #[error("`{path}` is not a bare git repository: {what}")]
    NotARepository { path: PathBuf, what: String },
    #[error("object `{id}` is missing in `{repository}`")]
    MissingObject { id: String, repository: PathBuf },
    #[error("object `{id}` is a {found}, expected a {expected}")]
    WrongKind {
        id: String,
        expected: &'static str,
        found: String,
    },
    #[error("object `{id}` has {size} bytes, at most {limit} are read")]
    TooLarge { id: String, size: u64, limit: u64 },
    #[error("more than {limit} entries below tree `{tree}`")]
    TooMany { tree: ObjectId, limit: usize },
    #[error("`{path}` in the repository is refused: {why}")]
    OddEntry { path: String, why: &'static str },
    #[error("`{path}` cannot be a path in a repository: {why}")]
    BadPath { path: String, why: &'static str },
    #[error("`{name}` cannot be a reference: {why}")]
    BadRef { name: String, why: &'static str },
    /// Someone else moved the reference first; nothing was changed.
    #[error("reference `{name}` moved: expected {expected}, found {}", found.as_ref().map_or("none", ObjectId::as_str))]
    Moved {
        name: String,
        expected: String,
        found: Option<ObjectId>,
    },
    #[error("another process holds the lock of `{path}`")]
    Busy { path: PathBuf },
    #[error("cannot {doing} `{path}`")]
    File {
        doing: &'static str,
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    /// The disk did not confirm a write: what was written may be lost, so nothing may be acknowledged.
    #[error("cannot bring `{path}` to the disk")]
    Sync {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
}

impl GitError {
    /// Whether the disk may have lost what was written; a retry proves nothing.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Sync { .. })
    }
}
