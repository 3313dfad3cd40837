//! Signs artifacts at the moment they arrive in the registry.

use std::fs;
use std::io;
use std::path::Path;

use foreshore_artifact::{SigningKey, SigningKeyError};
use foreshore_git::CommitKey;
use foreshore_image::Descriptor;
use foreshore_model::artifact::ARTIFACT_TYPE;
use foreshore_registry::{Testimony, Witness};

use crate::error::ServerError;
use crate::platform::write_private;

/// Signs with the server's key; CI holds none.
#[derive(Debug)]
pub(crate) struct Signer {
    key: SigningKey,
}

impl Signer {
    pub(crate) fn new(key: SigningKey) -> Self {
        Self { key }
    }
}

impl Witness for Signer {
    fn artifact_type(&self) -> &str {
        foreshore_artifact::SIGNATURE_TYPE
    }

    fn testify(&self, repository: &str, arrived: &Descriptor) -> Option<Testimony> {
        if arrived.artifact_type.as_deref() != Some(ARTIFACT_TYPE) {
            return None;
        }
        let signed = self.key.sign(repository, arrived.clone());
        Some(Testimony {
            blobs: signed.blobs,
            manifest: signed.manifest,
        })
    }
}

/// Reads the server's key, or makes one that only its owner can read.
pub(crate) fn load_or_make(path: &Path) -> Result<SigningKey, ServerError> {
    let damaged = |cause| ServerError::SigningKey {
        path: path.to_owned(),
        cause,
    };
    match fs::read(path) {
        Ok(kept) => SigningKey::read(&kept).map_err(damaged),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let kept = SigningKey::draw().map_err(damaged)?;
            write_private(path, &kept).map_err(|error| ServerError::Credential(error.into()))?;
            SigningKey::read(&kept).map_err(damaged)
        }
        Err(cause) => Err(ServerError::Directory {
            path: path.to_owned(),
            cause,
        }),
    }
}

/// The same key, for commits of the config repository.
pub(crate) fn commit_key(path: &Path) -> Result<CommitKey, ServerError> {
    let kept = fs::read(path).map_err(|cause| ServerError::Directory {
        path: path.to_owned(),
        cause,
    })?;
    CommitKey::from_pkcs8(&kept).map_err(|_| ServerError::SigningKey {
        path: path.to_owned(),
        cause: SigningKeyError::Damaged,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_key_is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signing.key");
        let first = load_or_make(&path).unwrap().public();
        assert_eq!(load_or_make(&path).unwrap().public(), first);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        fs::write(&path, "x").unwrap();
        assert!(matches!(
            load_or_make(&path),
            Err(ServerError::SigningKey { .. })
        ));
    }
}
