//! `foreshore.lock` on disk.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use foreshore_model::lock::FILE_NAME;
use foreshore_model::yaml::{self, YamlError};
use foreshore_model::{Lock, nearest};

use crate::cache::write_atomically;

/// Why a lock could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("cannot read `{path}`")]
    Read {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("cannot write `{path}`")]
    Write {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error(transparent)]
    Format(#[from] YamlError),
    #[error("`{path}` pins plan `{pinned}`, but the service names `{wanted}`")]
    OtherPlan {
        path: PathBuf,
        pinned: String,
        wanted: String,
    },
}

/// Reads the lock beside a service file; none if there is none. It must be for `plan`.
pub fn read_lock(directory: &Path, plan: &str) -> Result<Option<Lock>, LockError> {
    let path = directory.join(FILE_NAME);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(LockError::Read { path, cause }),
    };
    let lock: Lock = yaml::read(&path.display().to_string(), &text)?;
    if lock.plan != plan {
        return Err(LockError::OtherPlan {
            path,
            pinned: lock.plan,
            wanted: plan.to_owned(),
        });
    }
    Ok(Some(lock))
}

/// Writes the lock as a whole.
pub fn write_lock(directory: &Path, lock: &Lock) -> Result<(), LockError> {
    let path = directory.join(FILE_NAME);
    let written = lock
        .text()
        .map_err(io::Error::other)
        .and_then(|text| write_atomically(&path, &text));
    written.map_err(|cause| LockError::Write { path, cause })
}

/// The candidate nearest to a plan's name, if it looks like a slip.
pub(crate) fn near_name<'a>(
    reference: &str,
    names: impl Iterator<Item = &'a str>,
) -> Option<String> {
    nearest(reference, names).map(str::to_owned)
}
