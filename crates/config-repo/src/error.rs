//! Why the config repository could not be read or changed.

use std::sync::Arc;

use foreshore_git::{FetchError, GitError, ObjectId, PushError};
use foreshore_model::yaml::YamlError;
use foreshore_model::{EnvironmentName, ServiceName};

/// Why a part of the config repository is not known. It is never the same as empty.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("there is no environment `{environment}` at commit `{commit}`")]
    MissingEnvironment {
        environment: EnvironmentName,
        commit: ObjectId,
    },
    #[error("`{service}` has no folder in environment `{environment}` at commit `{commit}`")]
    MissingService {
        environment: EnvironmentName,
        service: ServiceName,
        commit: ObjectId,
    },
    #[error("`{path}` is missing")]
    MissingFile { path: String },
    #[error("`{path}` is not text in UTF-8")]
    NotText { path: String },
    #[error("`{path}` is refused: {why}")]
    Odd { path: String, why: &'static str },
    #[error("`{path}` is about {found}, which does not fit its place")]
    Misplaced { path: String, found: String },
    /// The message starts with file, line and column.
    #[error(transparent)]
    Yaml(#[from] YamlError),
    #[error("`{path}` is not readable JSON")]
    Json {
        path: String,
        #[source]
        cause: serde_json::Error,
    },
    #[error(transparent)]
    Git(#[from] GitError),
}

/// Why a mirror stays at the commit it has.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// Only a person can say that it is right: `Mirror::accept`.
    #[error("the config repository is frozen at `{verified}`: {why}")]
    Frozen {
        verified: ObjectId,
        found: Option<ObjectId>,
        why: String,
    },
    /// There is no earlier commit to stay at.
    #[error("the config repository at `{found}` is refused: {why}")]
    Untrusted { found: ObjectId, why: String },
    /// There never was a commit, so nothing is known.
    #[error("the repository at `{url}` has no branch `main` yet")]
    NoBranch { url: String },
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Git(#[from] GitError),
}

/// Why a submitted change has no answer. Ask again with the same key: it is carried out once.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WriteError {
    #[error("too many changes wait for the config repository; try again")]
    Busy,
    #[error("the writer of the config repository has stopped")]
    Stopped,
    #[error("cannot write to the config repository")]
    Failed(#[source] Arc<WriteFailure>),
}

/// What stood in the way of a write.
#[derive(Debug, thiserror::Error)]
pub enum WriteFailure {
    #[error("cannot read the config repository")]
    Read(#[from] ReadError),
    #[error(transparent)]
    Git(#[from] GitError),
    #[error("cannot follow the config repository's remote")]
    Follow(#[from] MirrorError),
    #[error("cannot push to the config repository's remote")]
    Push(#[from] PushError),
    #[error("others moved the config repository first, {attempts} times in a row")]
    Contended { attempts: u32 },
    /// The disk failed to confirm a write earlier; nothing is acknowledged until a restart has checked it.
    #[error("the config repository is read-only since its disk failed: {earlier}")]
    ReadOnly { earlier: String },
}
