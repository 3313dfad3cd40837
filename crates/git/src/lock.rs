//! One writer at a time, across threads and processes.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::GitError;

/// How long a writer waits for its turn; one turn takes milliseconds.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Held while references or packs change; freed by the kernel whatever becomes of the holder.
pub(crate) struct Turn {
    _file: File,
}

impl Turn {
    /// Waits for the turn to change references.
    pub(crate) fn take(repository: &Path) -> Result<Self, GitError> {
        let until = Instant::now() + WAIT_MAX;
        let path = repository.join("foreshore.lock");
        loop {
            if let Some(turn) = try_lock(&path)? {
                return Ok(turn);
            }
            if Instant::now() >= until {
                return Err(GitError::Busy { path });
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Takes the turn to join packs, if nobody else has it.
    pub(crate) fn for_packs(repository: &Path) -> Result<Option<Self>, GitError> {
        try_lock(&repository.join("foreshore-packs.lock"))
    }
}

fn try_lock(path: &Path) -> Result<Option<Turn>, GitError> {
    let error = |cause| GitError::File {
        doing: "lock",
        path: path.to_owned(),
        cause,
    };
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(error)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Turn { _file: file })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(cause)) => Err(error(cause)),
    }
}
