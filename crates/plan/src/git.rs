//! Plans in git repositories: which commit a name stands for, and the files of that commit.

use foreshore_git::{Credential, EntryKind, FetchError, GitError, ObjectId, Remote, Repository};
use foreshore_model::plan::{GitHead, GitReference};

use crate::cache::Cache;
use crate::content::{Content, ContentError, FILE_BYTES_MAX, File};

/// Plans are small; a history that is larger than this is none of plans.
const HISTORY_BYTES_MAX: u64 = 256 << 20;

/// Why a plan could not be taken from git.
#[derive(Debug, thiserror::Error)]
pub enum GitPlanError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    Content(#[from] ContentError),
    #[error("`{url}` has no commit {commit} in any branch or tag")]
    NoCommit { url: String, commit: String },
    #[error("`{url}` has no folder `{folder}` at commit {commit}")]
    NoFolder {
        url: String,
        folder: String,
        commit: String,
    },
}

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) commit: String,
    /// It is a tag, which is not supposed to move.
    pub(crate) tag: bool,
}

/// The plans at one address.
#[derive(Debug)]
pub(crate) struct Plans<'a> {
    reference: &'a GitReference,
    repository: Repository,
    remote: Remote,
}

impl<'a> Plans<'a> {
    pub(crate) fn open(
        cache: &Cache,
        reference: &'a GitReference,
        credential: Credential,
    ) -> Result<Self, GitPlanError> {
        Ok(Self {
            reference,
            repository: Repository::init_bare(cache.repository(&reference.url))?,
            remote: Remote::new(reference.url.clone(), credential).at_most(HISTORY_BYTES_MAX),
        })
    }

    /// Asks the other side, and copies what it names.
    pub(crate) fn fetch(&self) -> Result<Head, GitPlanError> {
        let name = match &self.reference.head {
            GitHead::Commit(commit) => {
                self.fetch_commit(commit)?;
                return Ok(Head {
                    commit: commit.clone(),
                    tag: false,
                });
            }
            GitHead::Named(name) => Some(name.as_str()),
            GitHead::Default => None,
        };
        let head = self.repository.remote_head(&self.remote, name)?;
        if !self.repository.has_commit(&head.commit) {
            let refspec = format!(
                "+{}:refs/plan/{}",
                head.name,
                head.name.trim_start_matches("refs/")
            );
            self.repository.fetch(&self.remote, &[&refspec])?;
        }
        Ok(Head {
            commit: head.commit.to_string(),
            tag: head.name.starts_with("refs/tags/"),
        })
    }

    /// Copies a commit that is known by its name; every branch and tag is looked at.
    pub(crate) fn fetch_commit(&self, commit: &str) -> Result<(), GitPlanError> {
        let id = self.id(commit)?;
        if self.repository.has_commit(&id) {
            return Ok(());
        }
        let all = [
            "+refs/heads/*:refs/plan/heads/*",
            "+refs/tags/*:refs/plan/tags/*",
        ];
        self.repository.fetch(&self.remote, &all)?;
        if self.repository.has_commit(&id) {
            return Ok(());
        }
        Err(GitPlanError::NoCommit {
            url: self.remote.shown(),
            commit: commit.to_owned(),
        })
    }

    fn id(&self, commit: &str) -> Result<ObjectId, GitPlanError> {
        commit.parse().map_err(|_| GitPlanError::NoCommit {
            url: self.remote.shown(),
            commit: commit.chars().take(60).collect(),
        })
    }

    /// Reads the plan's files at a commit that is here; none if it is not.
    pub(crate) fn content(&self, commit: &str) -> Result<Option<Content>, GitPlanError> {
        let id = self.id(commit)?;
        if !self.repository.has_commit(&id) {
            return Ok(None);
        }
        let tree = match &self.reference.folder {
            None => self.repository.root(&id)?,
            Some(folder) => {
                let found = self.repository.tree_id(&id, folder)?;
                found.ok_or_else(|| GitPlanError::NoFolder {
                    url: self.remote.shown(),
                    folder: folder.clone(),
                    commit: commit.to_owned(),
                })?
            }
        };
        let mut content = Content::default();
        for (path, entry) in self.repository.files(&tree)? {
            let bytes = self
                .repository
                .read_blob(&entry.id)
                .map_err(|error| match error {
                    GitError::TooLarge { size, .. } if size > FILE_BYTES_MAX => {
                        GitPlanError::Content(ContentError::FileTooLarge { path: path.clone() })
                    }
                    other => other.into(),
                })?;
            let executable = entry.kind == EntryKind::Executable;
            content.add(&path, File { bytes, executable })?;
        }
        Ok(Some(content))
    }
}
