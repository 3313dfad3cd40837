//! The registry itself: every operation, without HTTP.
//!
//! Content first, then one journal line, then memory, then the answer. All
//! changes pass through [`Registry::commit`], which decides under the journal's
//! lock; so two pushes of one tag at once have an order.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, SystemTime};

use foreshore_image::{
    BlobError, BlobStore, Durability, Index, Manifest, check_repository, check_tag, media_type,
};
use foreshore_model::{Digest, clock};
use jiff::Timestamp;
use serde::Deserialize;
use tokio::sync::broadcast;

use crate::arrival::Arrival;
use crate::journal::{self, Change, Entry, Journal, JournalError};
use crate::state::State;
use crate::upload::Uploads;

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
}

impl Default for Options {
    fn default() -> Self {
        Self {
            blob_bytes_max: 10 << 30,
            manifest_bytes_max: 4 << 20,
            idle_timeout: Duration::from_mins(1),
            immutable_tags: Vec::new(),
        }
    }
}

/// Why the registry did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("repository `{repository}` does not exist")]
    NoRepository { repository: String },
    #[error("repository `{repository}` has no blob `{digest}`")]
    NoBlob { repository: String, digest: Digest },
    #[error("repository `{repository}` has no manifest `{target}`")]
    NoManifest { repository: String, target: String },
    #[error("upload `{upload}` does not exist, has ended, or was given up")]
    NoUpload { upload: String },
    #[error("the manifest needs `{missing}`, which repository `{repository}` does not have")]
    Parts { repository: String, missing: Digest },
    #[error("the manifest cannot be used: {what}")]
    Manifest { what: String },
    #[error("the content has digest `{found}`, not `{expected}`")]
    WrongDigest { expected: String, found: Digest },
    #[error("the upload broke off")]
    Interrupted,
    #[error("the upload goes on at byte {length}, not at {start}")]
    Range { length: u64, start: u64 },
    #[error("too many uploads at once, or this one is being written by another request")]
    Busy,
    #[error("the content has more than the allowed {limit} bytes")]
    TooLarge { limit: u64 },
    #[error(
        "tag `{tag}` of `{repository}` stands for `{digest}`, and tags of this repository do not change"
    )]
    Immutable {
        repository: String,
        tag: String,
        digest: Digest,
    },
    #[error("`{digest}` of `{repository}` is needed by a manifest; remove that first")]
    InUse { repository: String, digest: Digest },
    #[error(transparent)]
    Blob(BlobError),
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl From<BlobError> for RegistryError {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Mismatch { expected, found } => Self::WrongDigest {
                expected: expected.to_string(),
                found,
            },
            BlobError::TooLarge { limit } => Self::TooLarge { limit },
            error => Self::Blob(error),
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
        Ok(Self {
            inner: Arc::new(Inner {
                blobs,
                uploads,
                options,
                journal,
                state,
                arrivals,
            }),
        })
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
    fn commit(
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

    /// Records that the repository holds a blob that is on disk.
    pub(crate) fn link_blob(&self, repository: &str, digest: &Digest) -> Result<(), RegistryError> {
        self.commit(repository, |state| {
            let known = state
                .repository(repository)
                .is_some_and(|found| found.blobs.contains_key(digest));
            Ok(if known {
                Vec::new()
            } else {
                vec![Change::Blob {
                    digest: digest.clone(),
                }]
            })
        })
    }

    /// Stores a manifest under a tag or its digest.
    pub fn put_manifest(
        &self,
        repository: &str,
        target: &str,
        media_type: &str,
        content: &[u8],
    ) -> Result<(Digest, Option<Digest>), RegistryError> {
        let wrong = |what: String| RegistryError::Manifest { what };
        check_repository(repository).map_err(|error| wrong(error.to_string()))?;
        if content.len() as u64 > self.inner.options.manifest_bytes_max {
            return Err(RegistryError::TooLarge {
                limit: self.inner.options.manifest_bytes_max,
            });
        }
        let digest = Digest::of(content);
        let tag = if target.contains(':') {
            if target != digest.as_str() {
                return Err(RegistryError::WrongDigest {
                    expected: target.to_owned(),
                    found: digest,
                });
            }
            None
        } else {
            check_tag(target).map_err(|error| wrong(error.to_string()))?;
            Some(target)
        };
        let mut manifest = read_manifest(media_type, content)?;
        manifest.tag = tag.map(str::to_owned);
        let subject = manifest.subject.clone();
        self.check_push(&self.state(), repository, tag, &manifest)?;
        self.inner.blobs.put(content)?;
        self.commit(repository, |state| {
            self.check_push(state, repository, tag, &manifest)?;
            let unchanged = state.repository(repository).is_some_and(|found| {
                let same_tag = tag.is_none_or(|tag| found.tags.get(tag) == Some(&manifest.digest));
                found.manifests.contains_key(&manifest.digest) && same_tag
            });
            Ok(if unchanged {
                Vec::new()
            } else {
                vec![Change::Manifest(manifest)]
            })
        })?;
        Ok((digest, subject))
    }

    fn check_push(
        &self,
        state: &State,
        repository: &str,
        tag: Option<&str>,
        manifest: &journal::Manifest,
    ) -> Result<(), RegistryError> {
        let found = state.repository(repository);
        let missing = manifest
            .parts
            .iter()
            .find(|part| found.is_none_or(|found| !found.holds(part)));
        if let Some(missing) = missing {
            return Err(RegistryError::Parts {
                repository: repository.to_owned(),
                missing: missing.clone(),
            });
        }
        let immutable = self
            .inner
            .options
            .immutable_tags
            .iter()
            .any(|prefix| repository.starts_with(prefix));
        let existing = tag.and_then(|tag| Some((tag, found?.tags.get(tag)?)));
        match existing {
            Some((tag, digest)) if immutable && *digest != manifest.digest => {
                Err(RegistryError::Immutable {
                    repository: repository.to_owned(),
                    tag: tag.to_owned(),
                    digest: digest.clone(),
                })
            }
            _ => Ok(()),
        }
    }

    /// Removes a tag, or a manifest with all its tags.
    pub(crate) fn remove_manifest(
        &self,
        repository: &str,
        target: &str,
    ) -> Result<(), RegistryError> {
        self.commit(repository, |state| {
            let missing = || RegistryError::NoManifest {
                repository: repository.to_owned(),
                target: target.to_owned(),
            };
            let found = state.repository(repository).ok_or_else(missing)?;
            if found.tags.contains_key(target) {
                return Ok(vec![Change::RemoveTag {
                    tag: target.to_owned(),
                }]);
            }
            let digest = found.find(target).ok_or_else(missing)?.digest.clone();
            if found.used().contains(&digest) {
                return Err(RegistryError::InUse {
                    repository: repository.to_owned(),
                    digest,
                });
            }
            Ok(vec![Change::RemoveManifest { digest }])
        })
    }

    /// Removes a blob from the repository.
    pub(crate) fn remove_blob(
        &self,
        repository: &str,
        digest: &Digest,
    ) -> Result<(), RegistryError> {
        self.commit(repository, |state| {
            let found = state
                .repository(repository)
                .filter(|found| found.blobs.contains_key(digest));
            let named = || (repository.to_owned(), digest.clone());
            let Some(found) = found else {
                let (repository, digest) = named();
                return Err(RegistryError::NoBlob { repository, digest });
            };
            if found.used().contains(digest) {
                let (repository, digest) = named();
                return Err(RegistryError::InUse { repository, digest });
            }
            Ok(vec![Change::RemoveBlob {
                digest: digest.clone(),
            }])
        })
    }

    /// Removes blobs that no manifest has needed since before `before`; returns how many files went away.
    ///
    /// A push brings its blobs before its manifest, so `before` must be further
    /// back than the longest push.
    pub fn collect_garbage(&self, before: Timestamp) -> Result<usize, RegistryError> {
        for repository in self.repositories() {
            self.commit(&repository, |state| {
                let Some(found) = state.repository(&repository) else {
                    return Ok(Vec::new());
                };
                let used = found.used();
                let unused = found
                    .blobs
                    .iter()
                    .filter(|(digest, at)| **at < before && !used.contains(digest));
                Ok(unused
                    .map(|(digest, _)| Change::RemoveBlob {
                        digest: digest.clone(),
                    })
                    .collect())
            })?;
        }
        let kept: BTreeSet<Digest> = self
            .state()
            .repositories()
            .flat_map(|(_, found)| found.blobs.keys().chain(found.manifests.keys()).cloned())
            .collect();
        let mut removed = 0;
        for (digest, changed) in self.inner.blobs.list()? {
            if changed < SystemTime::from(before)
                && !kept.contains(&digest)
                && self.inner.blobs.remove(&digest)?
            {
                removed += 1;
            }
        }
        Ok(removed)
    }
}

fn missing_repository(repository: &str) -> RegistryError {
    RegistryError::NoRepository {
        repository: repository.to_owned(),
    }
}

/// Reads what the table keeps of a manifest.
fn read_manifest(given_type: &str, content: &[u8]) -> Result<journal::Manifest, RegistryError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Shape {
        schema_version: u32,
        media_type: Option<String>,
    }
    let wrong = |what: String| RegistryError::Manifest { what };
    let shape: Shape = serde_json::from_slice(content).map_err(|cause| wrong(cause.to_string()))?;
    if shape.schema_version != 2 {
        return Err(wrong(format!(
            "schema version {} is not supported, only 2",
            shape.schema_version
        )));
    }
    if let Some(own) = shape.media_type.filter(|own| own != given_type) {
        return Err(wrong(format!(
            "it calls itself `{own}` and was sent as `{given_type}`"
        )));
    }
    let mut read = journal::Manifest {
        digest: Digest::of(content),
        size: content.len() as u64,
        media_type: given_type.to_owned(),
        artifact_type: None,
        subject: None,
        tag: None,
        parts: Vec::new(),
    };
    match given_type {
        media_type::MANIFEST | media_type::DOCKER_MANIFEST => {
            let manifest: Manifest =
                serde_json::from_slice(content).map_err(|cause| wrong(cause.to_string()))?;
            read.artifact_type = manifest.artifact_type.or(Some(manifest.config.media_type));
            read.subject = manifest.subject.map(|subject| subject.digest);
            read.parts = vec![manifest.config.digest];
            read.parts
                .extend(manifest.layers.into_iter().map(|layer| layer.digest));
        }
        media_type::INDEX | media_type::DOCKER_LIST => {
            let index: Index =
                serde_json::from_slice(content).map_err(|cause| wrong(cause.to_string()))?;
            read.artifact_type = index.artifact_type;
            read.subject = index.subject.map(|subject| subject.digest);
            read.parts = index
                .manifests
                .into_iter()
                .map(|manifest| manifest.digest)
                .collect();
        }
        other => return Err(wrong(format!("media type `{other}` is not supported"))),
    }
    Ok(read)
}

/// Runs disk work away from the threads that serve requests.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(Box::new(io::Error::other(error))),
    }
}
