//! Why a platform could not start or go on.

use std::io;
use std::path::PathBuf;

use foreshore_model::ExitCode;
use tokio::task::JoinError;

use super::record::RecordError;
use super::sites::SitesError;
use super::state::StateError;
use super::sweep::SweepError;
use crate::roles::RoleError;

/// Why a platform could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    #[error("another platform runs from `{data}`, or is just starting")]
    Taken { data: PathBuf },
    #[error("cannot use the data directory `{path}`")]
    Directory {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("cannot read this process's own identity")]
    Process(#[source] io::Error),
    #[error(transparent)]
    Record(RecordError),
    #[error(transparent)]
    Role(#[from] RoleError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error("cannot write down the sites of production")]
    Sites(#[from] SitesError),
    #[error(transparent)]
    Sweep(#[from] SweepError),
    #[error("a role ended unexpectedly")]
    Task(#[source] JoinError),
}

impl PlatformError {
    /// How a command ends that fails with this.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Taken { .. } => ExitCode::Conflict,
            Self::Directory { .. } | Self::State(StateError::Foreign { .. }) => ExitCode::Usage,
            Self::Role(error) => error.exit_code(),
            Self::Task(_) => ExitCode::Bug,
            _ => ExitCode::Failed,
        }
    }

    /// What to type next.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Taken { .. } => {
                vec!["`foreshore down` stops it; `--data DIR` starts another beside it".to_owned()]
            }
            Self::Directory { .. } => vec!["choose another with `--data DIR`".to_owned()],
            Self::Role(error) => error.hints(),
            Self::State(error) => vec![error.hint()],
            _ => Vec::new(),
        }
    }
}
