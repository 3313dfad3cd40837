//! The state of a platform in one file, and back.
//!
//! In it is what cannot be made anew: config repository, registry, databases,
//! keys and tokens. Not in it is what follows from that (the embedded cluster,
//! caches) and what services store in volumes of their own.
//!
//! It is taken while the platform works. What refers to something is read
//! before what it refers to: commits name artifacts, artifacts name blobs, and
//! nothing that is named goes away in between without being noticed.

mod pack;
mod unpack;

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use foreshore_model::ExitCode;
use foreshore_server::platform::StateError;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub(crate) use pack::pack;
pub(crate) use unpack::unpack;

/// First entry of a backup.
const ABOUT: &str = "backup.json";
/// Last entry: what ends without it was cut short.
const END: &str = "end";
/// The config repository as one file.
const BUNDLE: &str = "config.bundle";
/// The form of backups that this version writes and reads.
const FORMAT: u32 = 1;

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct About {
    pub(crate) format: u32,
    pub(crate) program: String,
    pub(crate) made_at: Timestamp,
}

/// Why a backup could not be made or used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackupError {
    #[error("cannot use `{path}`")]
    File {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("`{path}` is there already")]
    There { path: PathBuf },
    #[error("`{data}` holds no state of a platform")]
    NoState { data: PathBuf },
    #[error("`{data}` holds something already; a backup is restored into a new directory")]
    NotEmpty { data: PathBuf },
    #[error("cannot copy the database `{path}`")]
    Database {
        path: PathBuf,
        #[source]
        cause: rusqlite::Error,
    },
    #[error("git cannot {doing}: {said}")]
    Git { doing: &'static str, said: String },
    #[error("the registry was changed while it was read, {times} times in a row")]
    Unrest { times: u32 },
    #[error("`{path}` is not a backup, or only the start of one")]
    Damaged {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("backup `{path}` was made by Foreshore {program}, which is newer than this one")]
    Newer { path: PathBuf, program: String },
    #[error(transparent)]
    State(#[from] StateError),
}

impl BackupError {
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::There { .. } | Self::NotEmpty { .. } => ExitCode::Conflict,
            Self::NoState { .. } => ExitCode::NotFound,
            Self::Newer { .. } | Self::State(_) => ExitCode::Refused,
            _ => ExitCode::Failed,
        }
    }

    pub(crate) fn hint(&self) -> Option<String> {
        Some(match self {
            Self::There { .. } => "give the name of a new file".to_owned(),
            Self::NoState { .. } => "`--data DIR` names the directory that `up` used".to_owned(),
            Self::NotEmpty { .. } => "move it away, or give another with `--data DIR`".to_owned(),
            Self::Damaged { .. } => "nothing was changed; take an earlier backup".to_owned(),
            Self::Newer { program, .. } => {
                format!("nothing was changed; use Foreshore {program} or newer")
            }
            Self::Unrest { .. } => "try again when fewer artifacts are deleted".to_owned(),
            Self::State(error) => error.hint(),
            Self::Git { .. } => "`foreshore doctor` looks for git".to_owned(),
            Self::File { .. } | Self::Database { .. } => return None,
        })
    }
}

fn file(path: &Path) -> impl FnOnce(io::Error) -> BackupError + '_ {
    |cause| BackupError::File {
        path: path.to_owned(),
        cause,
    }
}

/// Runs git on the repository, with nothing of the person's own settings.
fn git(repository: &Path, doing: &'static str, words: &[&str]) -> Result<(), BackupError> {
    let output = Command::new("git")
        .arg("--git-dir")
        .arg(repository)
        .args(words)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .env_remove("GIT_DIR")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| BackupError::Git {
            doing,
            said: error.to_string(),
        })?;
    if output.status.success() {
        return Ok(());
    }
    Err(BackupError::Git {
        doing,
        said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

/// A folder that goes when it is not needed any more.
struct Draft(PathBuf);

impl Draft {
    fn new(path: PathBuf) -> Result<Self, BackupError> {
        use std::os::unix::fs::DirBuilderExt as _;
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(file(&path)(error));
            }
            _ => {}
        }
        let mut builder = std::fs::DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(&path);
        made.map_err(file(&path))?;
        Ok(Self(path))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // It was moved to its place, or nobody needs it.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[cfg(test)]
mod tests;
