//! Uploads that are under way.
//!
//! They live in memory and in temporary files: a restart forgets them, and clients
//! begin anew, as the protocol expects of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use foreshore_image::{BlobStore, BlobWriter};
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

use crate::registry::RegistryError;

/// Each holds an open file; far below a process's usual limit.
const UPLOADS_MAX: usize = 400;
/// After this long without a request an upload is given up.
const UPLOAD_AGE_MAX: Duration = Duration::from_hours(1);

#[derive(Debug, Default)]
pub(crate) struct Uploads {
    running: Mutex<HashMap<String, Upload>>,
}

#[derive(Debug, Clone)]
struct Upload {
    repository: String,
    touched: Instant,
    writer: Slot,
}

type Slot = Arc<tokio::sync::Mutex<Option<BlobWriter>>>;

/// An upload that this request alone writes to. Unless it is put back, the upload has ended.
#[derive(Debug)]
pub(crate) struct Writing {
    slot: OwnedMutexGuard<Option<BlobWriter>>,
}

impl Writing {
    pub(crate) fn take(&mut self) -> Option<BlobWriter> {
        self.slot.take()
    }

    pub(crate) fn put_back(mut self, writer: BlobWriter) {
        *self.slot = Some(writer);
    }
}

impl Uploads {
    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<String, Upload>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts an upload and returns its name, which cannot be guessed.
    pub(crate) fn start(
        &self,
        repository: &str,
        blobs: &BlobStore,
    ) -> Result<String, RegistryError> {
        let now = Instant::now();
        let mut running = self.running();
        running.retain(|_, upload| now.duration_since(upload.touched) < UPLOAD_AGE_MAX);
        if running.len() >= UPLOADS_MAX {
            return Err(RegistryError::Busy);
        }
        let writer = Arc::new(tokio::sync::Mutex::new(Some(blobs.writer()?)));
        let id = format!("{:032x}", rand::random::<u128>());
        running.insert(
            id.clone(),
            Upload {
                repository: repository.to_owned(),
                touched: now,
                writer,
            },
        );
        Ok(id)
    }

    /// Takes the upload for one request; another one at the same time is refused.
    pub(crate) fn write(&self, repository: &str, id: &str) -> Result<Writing, RegistryError> {
        let missing = || RegistryError::NoUpload {
            upload: id.to_owned(),
        };
        let mut running = self.running();
        let upload = running
            .get_mut(id)
            .filter(|upload| upload.repository == repository)
            .ok_or_else(missing)?;
        upload.touched = Instant::now();
        let slot = Arc::clone(&upload.writer)
            .try_lock_owned()
            .map_err(|_| RegistryError::Busy)?;
        if slot.is_none() {
            running.remove(id);
            return Err(missing());
        }
        Ok(Writing { slot })
    }

    /// Returns how many bytes the upload has.
    pub(crate) fn length(&self, repository: &str, id: &str) -> Result<u64, RegistryError> {
        let writing = self.write(repository, id)?;
        Ok(writing.slot.as_ref().map_or(0, BlobWriter::length))
    }

    /// Forgets the upload.
    pub(crate) fn end(&self, id: &str) {
        self.running().remove(id);
    }
}
