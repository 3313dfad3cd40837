//! Why a registry refuses or fails.

use foreshore_image::BlobError;
use foreshore_model::Digest;

use crate::journal::JournalError;

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
    #[error("`{artifact_type}` is written by the registry alone")]
    Reserved { artifact_type: String },
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
