//! Everything that changes what a repository holds.

use std::collections::BTreeSet;
use std::time::SystemTime;

use foreshore_image::{Descriptor, Index, Manifest, check_repository, check_tag, media_type};
use foreshore_model::Digest;
use jiff::Timestamp;
use serde::Deserialize;

use super::{Registry, RegistryError};
use crate::journal::{self, Change};
use crate::state::State;

impl Registry {
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
        self.check_author(&manifest)?;
        self.inner.blobs.put(content)?;
        let testimony = self.testimony(repository, &manifest)?;
        self.commit(repository, |state| {
            self.check_push(state, repository, tag, &manifest)?;
            let unchanged = state.repository(repository).is_some_and(|found| {
                let same_tag = tag.is_none_or(|tag| found.tags.get(tag) == Some(&manifest.digest));
                found.manifests.contains_key(&manifest.digest) && same_tag
            });
            // The testimony first: whatever a power cut leaves, nothing stands without it.
            let mut changes = missing(state, repository, testimony);
            if !unchanged {
                changes.push(Change::Manifest(manifest));
            }
            Ok(changes)
        })?;
        Ok((digest, subject))
    }

    /// Refuses what poses as the witness.
    fn check_author(&self, manifest: &journal::Manifest) -> Result<(), RegistryError> {
        let witness = self.inner.options.witness.as_ref();
        let reserved = witness.map(|witness| witness.artifact_type());
        match &manifest.artifact_type {
            Some(claimed) if reserved == Some(claimed.as_str()) => Err(RegistryError::Reserved {
                artifact_type: claimed.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Writes what the witness says about a manifest to disk; it is not visible yet.
    fn testimony(
        &self,
        repository: &str,
        manifest: &journal::Manifest,
    ) -> Result<Option<journal::Manifest>, RegistryError> {
        let Some(witness) = &self.inner.options.witness else {
            return Ok(None);
        };
        let mut arrived =
            Descriptor::new(&manifest.media_type, manifest.digest.clone(), manifest.size);
        arrived.artifact_type.clone_from(&manifest.artifact_type);
        let Some(testimony) = witness.testify(repository, &arrived) else {
            return Ok(None);
        };
        for blob in &testimony.blobs {
            self.inner.blobs.put(blob)?;
        }
        self.inner.blobs.put(&testimony.manifest)?;
        read_manifest(media_type::MANIFEST, &testimony.manifest).map(Some)
    }

    /// Lets the witness testify to what arrived before there was one.
    pub(super) fn catch_up_testimonies(&self) -> Result<(), RegistryError> {
        if self.inner.options.witness.is_none() {
            return Ok(());
        }
        let known: Vec<(String, Vec<journal::Manifest>)> = {
            let state = self.state();
            let all = state.repositories();
            all.map(|(name, found)| (name.to_owned(), found.manifests.values().cloned().collect()))
                .collect()
        };
        for (repository, manifests) in known {
            for manifest in manifests {
                let testimony = self.testimony(&repository, &manifest)?;
                self.commit(&repository, |state| {
                    Ok(missing(state, &repository, testimony))
                })?;
            }
        }
        Ok(())
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

    /// Removes a tag, or a manifest with all its tags and everything that is about it.
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
            // Together, and the manifest last: a power cut in between leaves a manifest whose
            // testimony is made anew at the next start, never a testimony about nothing.
            let going = found.going_with(&digest).into_iter();
            Ok(going
                .map(|digest| Change::RemoveManifest { digest })
                .collect())
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
        let witness = self.inner.options.witness.as_ref();
        for repository in self.repositories() {
            // Left behind by versions that removed a manifest alone.
            self.commit(&repository, |state| {
                let found = state.repository(&repository).zip(witness);
                let orphans = found.map(|(found, witness)| found.orphans(witness.artifact_type()));
                let orphans = orphans.into_iter().flatten();
                Ok(orphans
                    .map(|digest| Change::RemoveManifest { digest })
                    .collect())
            })?;
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

/// What has to be written down so that a testimony is there.
fn missing(state: &State, repository: &str, testimony: Option<journal::Manifest>) -> Vec<Change> {
    let found = state.repository(repository);
    let Some(testimony) =
        testimony.filter(|it| found.is_none_or(|found| !found.manifests.contains_key(&it.digest)))
    else {
        return Vec::new();
    };
    let blobs = testimony
        .parts
        .iter()
        .filter(|part| found.is_none_or(|found| !found.holds(part)))
        .map(|part| Change::Blob {
            digest: part.clone(),
        });
    blobs
        .collect::<Vec<_>>()
        .into_iter()
        .chain([Change::Manifest(testimony.clone())])
        .collect()
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
