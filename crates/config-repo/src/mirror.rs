//! The copy of the config repository that an agent works from.

use std::path::Path;

use foreshore_git::{ObjectId, Remote, Repository, Signer};

use crate::error::{MirrorError, ReadError};
use crate::follow::{follow, move_to};
use crate::snapshot::Snapshot;

/// Last commit that is known to follow from all before it.
const VERIFIED: &str = "refs/foreshore/verified";

/// A bare copy on disk; its methods block. It works on when the other side is down.
#[derive(Debug, Clone)]
pub struct Mirror {
    repository: Repository,
    remote: Remote,
    signers: Vec<Signer>,
}

impl Mirror {
    /// Opens the copy in `folder`, or starts an empty one.
    pub fn open(folder: &Path, remote: Remote) -> Result<Self, MirrorError> {
        Ok(Self {
            repository: Repository::init_bare(folder)?,
            remote,
            signers: Vec::new(),
        })
    }

    /// The same mirror, which stays where it is as soon as a new commit is not signed by one of these.
    #[must_use]
    pub fn trusting(self, signers: Vec<Signer>) -> Self {
        Self { signers, ..self }
    }

    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Returns the last commit that was accepted; none before the first fetch.
    pub fn tip(&self) -> Result<Option<ObjectId>, MirrorError> {
        Ok(self.repository.resolve(VERIFIED)?)
    }

    /// Fetches what is new and returns the commit to work from.
    ///
    /// A branch that vanished, was rewritten or put back is refused, and the
    /// mirror stays where it is.
    pub fn fetch(&self) -> Result<ObjectId, MirrorError> {
        let tip = follow(&self.repository, &self.remote, VERIFIED, &[], &self.signers)?;
        if let Err(error) = self.repository.tidy() {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "packs of the mirror stay as they are"
            );
        }
        Ok(tip)
    }

    /// Takes over a commit that does not follow from the last one, on a person's word.
    pub fn accept(&self, commit: &ObjectId) -> Result<(), MirrorError> {
        Ok(move_to(
            &self.repository,
            VERIFIED,
            self.tip()?.as_ref(),
            commit,
        )?)
    }

    /// Reads a commit of the mirror; what is like in `previous` is not read again.
    pub fn snapshot(
        &self,
        commit: &ObjectId,
        previous: Option<&Snapshot>,
    ) -> Result<Snapshot, ReadError> {
        Snapshot::read(&self.repository, commit, previous)
    }
}
