//! From a reference and a lock to the files of a plan; the network only where it is needed.

use std::path::{Path, PathBuf};

use foreshore_git::Credential;
use foreshore_image::{ClientOptions, Reference as ImageReference, RegistryClient};
use foreshore_model::plan::{GitHead, GitReference, Reference, ReferenceError};
use foreshore_model::{Digest, Lock};

use crate::cache::{Cache, CacheError};
use crate::content::{Content, ContentError};
use crate::git::{GitPlanError, Plans};
use crate::registry::{self, OciPlanError};

/// Why a plan could not be resolved.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error("cannot take plan `{plan}` from git")]
    Git {
        plan: String,
        #[source]
        cause: GitPlanError,
    },
    #[error("cannot take plan `{plan}` from the registry")]
    Registry {
        plan: String,
        #[source]
        cause: OciPlanError,
    },
    #[error("plan `{plan}` is not pinned")]
    NotPinned { plan: String },
    #[error("plan `{plan}` is not in the cache, and this run is offline")]
    Offline { plan: String },
    #[error(
        "plan `{plan}` has other content than foreshore.lock says: {found} instead of {expected}"
    )]
    WrongHash {
        plan: String,
        expected: Digest,
        found: Digest,
    },
    #[error(
        "tag of plan `{plan}` moved from commit {before} to {now}; a tag is not supposed to move"
    )]
    MovedTag {
        plan: String,
        before: String,
        now: String,
    },
    #[error("plan `{plan}` is a directory; there is no branch, tag or commit of it")]
    NoHead { plan: String },
}

/// A plan from elsewhere: its files, where they are kept, and what pins them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    pub content: Content,
    pub directory: PathBuf,
    pub lock: Lock,
}

/// What resolving needs to know of the machine.
#[derive(Debug, Clone)]
pub struct Resolver {
    pub cache: Cache,
    /// For https; ssh has its agent.
    pub credential: Credential,
    pub registry: ClientOptions,
    /// Nothing is asked of anybody.
    pub offline: bool,
}

impl Resolver {
    /// Returns the plan that a lock pins; the network is used only if the cache does not have it.
    pub async fn pinned(&self, lock: &Lock) -> Result<Fetched, ResolveError> {
        if let Some(fetched) = self.cached(lock)? {
            return Ok(fetched);
        }
        if self.offline {
            return Err(ResolveError::Offline {
                plan: lock.plan.clone(),
            });
        }
        let content = match Reference::parse(&lock.plan)? {
            Reference::Git(reference) => self.git_at(lock, reference).await?,
            Reference::Oci(_) => self.oci(&lock.plan, lock.manifest.as_ref()).await?.1,
            Reference::None | Reference::Local(_) => {
                return Err(ResolveError::NotPinned {
                    plan: lock.plan.clone(),
                });
            }
        };
        self.keep(lock.clone(), content)
    }

    /// Returns the plan that a lock pins, if the cache has it: no process, no network.
    pub fn cached(&self, lock: &Lock) -> Result<Option<Fetched>, ResolveError> {
        Ok(self.cache.load(&lock.hash)?.map(|content| Fetched {
            content,
            directory: self.cache.directory(&lock.hash),
            lock: lock.clone(),
        }))
    }

    /// Asks what a reference stands for now. `before` is the lock so far: a tag that moved since is refused.
    pub async fn newest(&self, plan: &str, before: Option<&Lock>) -> Result<Fetched, ResolveError> {
        if self.offline {
            return Err(ResolveError::Offline {
                plan: plan.to_owned(),
            });
        }
        match Reference::parse(plan)? {
            Reference::Git(reference) => self.newest_git(plan, reference, before).await,
            Reference::Oci(_) => {
                let (manifest, content) = self.oci(plan, None).await?;
                let lock = Lock {
                    plan: plan.to_owned(),
                    commit: None,
                    manifest: Some(manifest),
                    hash: content.hash(),
                };
                self.keep(lock, content)
            }
            Reference::None | Reference::Local(_) => Err(ResolveError::NotPinned {
                plan: plan.to_owned(),
            }),
        }
    }

    /// Returns what a reference was resolved to last, or asks once.
    pub async fn unpinned(&self, plan: &str) -> Result<Fetched, ResolveError> {
        if let Some(lock) = self.cache.head(plan) {
            return self.pinned(&lock).await;
        }
        let fetched = self.newest(plan, None).await?;
        self.cache.remember(&fetched.lock)?;
        Ok(fetched)
    }

    /// Asks what a reference stands for now, and remembers it.
    pub async fn refreshed(&self, plan: &str) -> Result<Fetched, ResolveError> {
        let fetched = self.newest(plan, None).await?;
        self.cache.remember(&fetched.lock)?;
        Ok(fetched)
    }

    fn keep(&self, lock: Lock, content: Content) -> Result<Fetched, ResolveError> {
        let found = content.hash();
        if found != lock.hash {
            return Err(ResolveError::WrongHash {
                plan: lock.plan,
                expected: lock.hash,
                found,
            });
        }
        let directory = self.cache.store(&content)?;
        Ok(Fetched {
            content,
            directory,
            lock,
        })
    }

    /// Git is asked on a thread of its own, because it blocks.
    async fn git<T: Send + 'static>(
        &self,
        plan: &str,
        reference: GitReference,
        work: impl FnOnce(&Plans<'_>) -> Result<T, GitPlanError> + Send + 'static,
    ) -> Result<T, ResolveError> {
        let (cache, credential) = (self.cache.clone(), self.credential.clone());
        let task = tokio::task::spawn_blocking(move || {
            let plans = Plans::open(&cache, &reference, credential)?;
            work(&plans)
        });
        let result = task.await.expect("reading a plan does not panic");
        result.map_err(|cause| ResolveError::Git {
            plan: plan.to_owned(),
            cause,
        })
    }

    async fn git_at(&self, lock: &Lock, reference: GitReference) -> Result<Content, ResolveError> {
        let Some(commit) = lock.commit.clone() else {
            return Err(ResolveError::NotPinned {
                plan: lock.plan.clone(),
            });
        };
        self.git(&lock.plan, reference, move |plans| {
            if let Some(content) = plans.content(&commit)? {
                return Ok(content);
            }
            plans.fetch_commit(&commit)?;
            plans.content(&commit).map(Option::unwrap_or_default)
        })
        .await
    }

    async fn newest_git(
        &self,
        plan: &str,
        reference: GitReference,
        before: Option<&Lock>,
    ) -> Result<Fetched, ResolveError> {
        let (head, content) = self
            .git(plan, reference, |plans| {
                let head = plans.fetch()?;
                let content = plans.content(&head.commit)?.unwrap_or_default();
                Ok((head, content))
            })
            .await?;
        let known = before
            .filter(|lock| lock.plan == plan)
            .and_then(|lock| lock.commit.as_ref());
        if let Some(known) = known.filter(|known| head.tag && **known != head.commit) {
            return Err(ResolveError::MovedTag {
                plan: plan.to_owned(),
                before: known.clone(),
                now: head.commit,
            });
        }
        let lock = Lock {
            plan: plan.to_owned(),
            commit: Some(head.commit),
            manifest: None,
            hash: content.hash(),
        };
        self.keep(lock, content)
    }

    async fn oci(
        &self,
        plan: &str,
        manifest: Option<&Digest>,
    ) -> Result<(Digest, Content), ResolveError> {
        let failed = |cause| ResolveError::Registry {
            plan: plan.to_owned(),
            cause,
        };
        let text = plan.strip_prefix("oci://").unwrap_or(plan);
        let mut reference: ImageReference = text
            .parse()
            .map_err(|error| failed(OciPlanError::Reference(error)))?;
        if let Some(manifest) = manifest {
            reference = ImageReference::by_digest(
                reference.registry(),
                reference.repository(),
                manifest.clone(),
            )
            .map_err(|error| failed(OciPlanError::Reference(error)))?;
        }
        let client = RegistryClient::new(reference.address(), self.registry.clone())
            .map_err(|error| failed(OciPlanError::Client(error)))?;
        registry::pull(&client, &reference).await.map_err(failed)
    }
}

/// Puts what a person asks for on the command line in the place of what the file says.
///
/// `#head` alone changes the branch, tag or commit of a plan from git; anything else is another plan.
pub fn overloaded(plan: &str, overload: &str) -> Result<String, ResolveError> {
    let Some(head) = overload.strip_prefix('#') else {
        return Ok(overload.to_owned());
    };
    GitHead::parse(overload, head)?;
    match Reference::parse(plan)? {
        Reference::Git(_) => {
            let base = plan.split_once('#').map_or(plan, |(base, _)| base);
            Ok(format!("{base}#{head}"))
        }
        _ => Err(ResolveError::NoHead {
            plan: plan.to_owned(),
        }),
    }
}

impl From<ContentError> for ResolveError {
    fn from(error: ContentError) -> Self {
        Self::Cache(error.into())
    }
}

/// Where a plan's directory is, if it is a directory.
pub fn local_directory(plan: &str, directory: &Path) -> Result<Option<PathBuf>, ResolveError> {
    Ok(match Reference::parse(plan)? {
        Reference::Local(path) => Some(directory.join(path)),
        _ => None,
    })
}
