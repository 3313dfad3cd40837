//! The config repository through a copy on this machine.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use foreshore_config_repo::{Mirror, MirrorError, Snapshot};
use foreshore_git::{Credential, ObjectId, Remote, Signer};
use foreshore_model::{EnvironmentName, ServiceName};
use foreshore_secret::Key;

use super::{EnvironmentFiles, Manifest, ServiceFiles, Source, SourceError};
use crate::secrets;

/// Fetches into a bare mirror; works on from it when the other side is down.
#[derive(Debug, Clone)]
pub struct MirrorSource {
    mirror: Mirror,
    /// The commit last read; the next one reuses what did not change.
    last: Arc<Mutex<Option<Snapshot>>>,
    /// Opens sealed values; without it services that have some cannot be read.
    key: Option<Arc<Key>>,
}

impl MirrorSource {
    /// Opens the mirror in `folder`, or starts an empty one. Blocks for a moment.
    pub fn open(folder: &Path, url: &str, credential: Credential) -> Result<Self, MirrorError> {
        let mirror = Mirror::open(folder, Remote::new(url, credential))?;
        Ok(Self {
            mirror,
            last: Arc::default(),
            key: None,
        })
    }

    /// Opens sealed values with this key.
    #[must_use]
    pub fn with_key(mut self, key: Key) -> Self {
        self.key = Some(Arc::new(key));
        self
    }

    /// Takes no commit that none of these has signed; without any, all are taken.
    #[must_use]
    pub fn trusting(mut self, signers: Vec<Signer>) -> Self {
        if !signers.is_empty() {
            self.mirror = self.mirror.trusting(signers);
        }
        self
    }

    /// Runs what blocks on a thread that may.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, SourceError> + Send + 'static,
    ) -> Result<T, SourceError> {
        let this = self.clone();
        match tokio::task::spawn_blocking(move || work(&this)).await {
            Ok(result) => result,
            Err(cause) => Err(SourceError::Unreachable {
                cause: Box::new(cause),
            }),
        }
    }

    fn snapshot(&self, commit: &str) -> Result<Snapshot, SourceError> {
        let unreadable = |cause| SourceError::Unreadable {
            what: "the config repository".to_owned(),
            commit: commit.to_owned(),
            cause,
        };
        let id: ObjectId = commit
            .parse()
            .map_err(|cause| unreadable(Box::new(cause)))?;
        // A snapshot is replaced as a whole, so it is good even after a panic.
        let previous = self
            .last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(previous) = previous
            .as_ref()
            .filter(|previous| *previous.commit() == id)
        {
            return Ok(previous.clone());
        }
        let read = self
            .mirror
            .snapshot(&id, previous.as_ref())
            .map_err(|cause| unreadable(Box::new(cause)))?;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(read.clone());
        Ok(read)
    }
}

fn of_mirror(error: MirrorError) -> SourceError {
    match error {
        MirrorError::Frozen { why, .. } | MirrorError::Untrusted { why, .. } => {
            SourceError::Frozen { why }
        }
        other => SourceError::Unreachable {
            cause: Box::new(other),
        },
    }
}

#[async_trait]
impl Source for MirrorSource {
    async fn fetch(&self) -> Result<String, SourceError> {
        self.blocking(|this| {
            this.mirror
                .fetch()
                .map(|id| id.to_string())
                .map_err(of_mirror)
        })
        .await
    }

    async fn tip(&self) -> Result<Option<String>, SourceError> {
        self.blocking(|this| {
            this.mirror
                .tip()
                .map(|id| id.map(|id| id.to_string()))
                .map_err(of_mirror)
        })
        .await
    }

    async fn environment(
        &self,
        commit: &str,
        environment: &EnvironmentName,
    ) -> Result<EnvironmentFiles, SourceError> {
        let (commit, name) = (commit.to_owned(), environment.clone());
        self.blocking(move |this| {
            let snapshot = this.snapshot(&commit)?;
            let unreadable = |cause| SourceError::Unreadable {
                what: format!("environment `{name}`"),
                commit: commit.clone(),
                cause: Box::new(cause),
            };
            let environment = snapshot.environment(&name).map_err(unreadable)?;
            let services = snapshot.services(&name).map_err(unreadable)?;
            // A new value is work to do although the release stays the same.
            let sealed = snapshot.sealed_trees(&name).map_err(unreadable)?;
            let tree_of = |service: &ServiceName, tree: &ObjectId| match sealed.get(service) {
                Some(sealed) => format!("{tree}+{sealed}"),
                None => tree.to_string(),
            };
            let services = services
                .iter()
                .map(|(service, tree)| (service.clone(), tree_of(service, tree)))
                .collect();
            Ok(EnvironmentFiles {
                environment,
                services,
                retired: snapshot.retired(&name).map_err(unreadable)?,
            })
        })
        .await
    }

    async fn service(
        &self,
        commit: &str,
        environment: &EnvironmentName,
        service: &ServiceName,
    ) -> Result<ServiceFiles, SourceError> {
        let (commit, environment, service) =
            (commit.to_owned(), environment.clone(), service.clone());
        self.blocking(move |this| {
            let unreadable = |cause| SourceError::Unreadable {
                what: format!("service `{service}` in environment `{environment}`"),
                commit: commit.clone(),
                cause,
            };
            let snapshot = this.snapshot(&commit)?;
            let folder = snapshot
                .service(&environment, &service)
                .map_err(|cause| unreadable(Box::new(cause)))?;
            let sealed = snapshot
                .sealed(&environment, &service)
                .map_err(|cause| unreadable(Box::new(cause)))?;
            let manifests = folder.manifests.into_iter();
            let mut files = ServiceFiles {
                tree: folder.tree.to_string(),
                release: folder.release,
                operations: folder.operations,
                removals: folder.removals,
                checks: folder.checks,
                manifests_tree: folder.manifests_tree.to_string(),
                manifests: manifests
                    .map(|file| Manifest {
                        path: file.path,
                        text: file.text,
                    })
                    .collect(),
            };
            secrets::unseal(this.key.as_deref(), &service, &sealed, &mut files)
                .map_err(|cause| unreadable(Box::new(cause)))?;
            Ok(files)
        })
        .await
    }
}

#[cfg(test)]
mod tests;
