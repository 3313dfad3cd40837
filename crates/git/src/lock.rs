//! One writer at a time, across threads and processes.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::GitError;

/// How long a writer waits for its turn; one turn takes milliseconds.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Held while references change; freed by the kernel whatever becomes of the holder.
pub(crate) struct Turn {
    _file: File,
}

impl Turn {
    pub(crate) fn take(repository: &Path) -> Result<Self, GitError> {
        let path = repository.join("foreshore.lock");
        let error = |cause| GitError::File {
            doing: "lock",
            path: path.clone(),
            cause,
        };
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(error)?;
        let until = Instant::now() + WAIT_MAX;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) if Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(GitError::Busy {
                        path: repository.to_owned(),
                    });
                }
                Err(TryLockError::Error(cause)) => return Err(error(cause)),
            }
        }
    }
}
