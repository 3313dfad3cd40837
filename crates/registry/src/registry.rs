//! The registry itself: every operation, without HTTP.
//!
//! Content first, then one journal line, then memory, then the answer. All
//! changes pass through [`Registry::commit`], which decides under the journal's
//! lock; so two pushes of one tag at once have an order.

mod change;
mod error;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, SystemTime};

use foreshore_image::{BlobStore, Durability};
use foreshore_model::{Digest, clock};
use jiff::Timestamp;
use tokio::sync::broadcast;

use crate::arrival::Arrival;
use crate::journal::{Change, Entry, Journal};
use crate::state::State;
use crate::upload::Uploads;
use crate::witness::Witness;
pub use error::RegistryError;

/// Arrivals a slow listener may be behind before it has to ask for what it missed.
const ARRIVALS_BEHIND_MAX: usize = 256;

/// How a registry behaves.
#[derive(Debug, Clone)]
pub struct Options {
    pub blob_bytes_max: u64,
    pub manifest_bytes_max: u64,
    /// The longest silence of a client that is sending.
    pub idle_timeout: Duration,
    /// Repositories whose names start so never give an existing tag another meaning.
    pub immutable_tags: Vec<String>,
    /// Signs what arrives.
    pub witness: Option<Arc<dyn Witness>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            blob_bytes_max: 10 << 30,
            manifest_bytes_max: 4 << 20,
            idle_timeout: Duration::from_mins(1),
            immutable_tags: Vec::new(),
            witness: None,
        }
    }
}

/// A manifest with its content.
#[derive(Debug, Clone)]
pub struct StoredManifest {
    pub digest: Digest,
    pub media_type: String,
    pub content: Vec<u8>,
}

/// A registry in a directory; clones share it.
#[derive(Debug, Clone)]
pub struct Registry {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) blobs: BlobStore,
    pub(crate) uploads: Uploads,
    pub(crate) options: Options,
    journal: Mutex<Journal>,
    state: RwLock<State>,
    arrivals: broadcast::Sender<Arrival>,
}

impl Registry {
    /// Opens the registry in `directory` for this process alone, and creates what is missing.
    pub fn open(directory: &Path, options: Options) -> Result<Self, RegistryError> {
        let blobs = BlobStore::open(directory, Durability::Synced)?;
        let (journal, entries) = Journal::open(directory)?;
        let mut state = State::default();
        for entry in entries {
            state.apply(entry);
        }
        // Nobody else writes here, so whatever is unfinished was left by a process that ended.
        let later = SystemTime::from(Timestamp::MAX);
        blobs.remove_stale(later)?;
        let (arrivals, _) = broadcast::channel(ARRIVALS_BEHIND_MAX);
        let (journal, state) = (Mutex::new(journal), RwLock::new(state));
        let uploads = Uploads::default();
        let registry = Self {
            inner: Arc::new(Inner {
                blobs,
                uploads,
                options,
                journal,
                state,
                arrivals,
            }),
        };
        registry.catch_up_testimonies()?;
        Ok(registry)
    }

    /// Returns arrivals as they happen; a receiver that lags reads [`Self::arrivals`] and goes on.
    pub fn subscribe(&self) -> broadcast::Receiver<Arrival> {
        self.inner.arrivals.subscribe()
    }

    /// Returns every arrival after `sequence`, oldest first.
    pub fn arrivals(&self, sequence: u64) -> Vec<Arrival> {
        self.state().arrivals(sequence).to_vec()
    }

    /// Returns the names of all repositories.
    pub fn repositories(&self) -> Vec<String> {
        self.state()
            .repositories()
            .map(|(name, _)| name.to_owned())
            .collect()
    }

    /// Returns the tags of a repository in order.
    pub fn tags(&self, repository: &str) -> Result<Vec<String>, RegistryError> {
        let state = self.state();
        let found = state
            .repository(repository)
            .ok_or_else(|| missing_repository(repository))?;
        Ok(found.tags.keys().cloned().collect())
    }

    /// Returns the manifest under a tag or digest, checked against its digest.
    pub fn manifest(
        &self,
        repository: &str,
        target: &str,
    ) -> Result<StoredManifest, RegistryError> {
        let missing = || RegistryError::NoManifest {
            repository: repository.to_owned(),
            target: target.to_owned(),
        };
        let known = self
            .state()
            .repository(repository)
            .and_then(|found| found.find(target).cloned());
        let known = known.ok_or_else(missing)?;
        let content = self
            .inner
            .blobs
            .read(&known.digest, self.inner.options.manifest_bytes_max)?;
        let content = content.ok_or_else(|| {
            // Told as missing, so that a push can bring it back.
            tracing::error!(repository, digest = %known.digest, "manifest is missing on disk");
            missing()
        })?;
        Ok(StoredManifest {
            digest: known.digest,
            media_type: known.media_type,
            content,
        })
    }

    /// Returns a small blob of the repository, checked against its digest.
    pub fn blob(
        &self,
        repository: &str,
        digest: &Digest,
        limit: u64,
    ) -> Result<Vec<u8>, RegistryError> {
        let missing = || RegistryError::NoBlob {
            repository: repository.to_owned(),
            digest: digest.clone(),
        };
        if !self.holds_blob(repository, digest) {
            return Err(missing());
        }
        self.inner.blobs.read(digest, limit)?.ok_or_else(missing)
    }

    pub(crate) fn state(&self) -> RwLockReadGuard<'_, State> {
        self.inner
            .state
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn holds_blob(&self, repository: &str, digest: &Digest) -> bool {
        self.state()
            .repository(repository)
            .is_some_and(|found| found.blobs.contains_key(digest))
    }

    /// Makes changes durable and then visible; `decide` sees the state that they are made to.
    pub(super) fn commit(
        &self,
        repository: &str,
        decide: impl FnOnce(&State) -> Result<Vec<Change>, RegistryError>,
    ) -> Result<(), RegistryError> {
        let mut journal = self
            .inner
            .journal
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let entries: Vec<Entry> = {
            let state = self.state();
            let at = clock::now();
            let sequences = state.next_sequence()..;
            let changes = decide(&state)?;
            let entry = |(sequence, change)| Entry {
                sequence,
                at,
                repository: repository.to_owned(),
                change,
            };
            sequences.zip(changes).map(entry).collect()
        };
        if entries.is_empty() {
            return Ok(());
        }
        journal.append(&entries)?;
        let mut state = self
            .inner
            .state
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        for entry in entries {
            if let Some(arrival) = state.apply(entry) {
                // Without a listener nobody needs to be told; whoever comes later reads `arrivals`.
                drop(self.inner.arrivals.send(arrival));
            }
        }
        Ok(())
    }
}

fn missing_repository(repository: &str) -> RegistryError {
    RegistryError::NoRepository {
        repository: repository.to_owned(),
    }
}

/// Runs disk work away from the threads that serve requests.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(Box::new(io::Error::other(error))),
    }
}
