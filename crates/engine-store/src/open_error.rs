//! Why a store file could not be opened, under names that stay: each has a page in
//! `docs/errors`.

use std::path::{Path, PathBuf};

use crate::disk::FORMAT;

/// Why a store file could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot create directory `{path}` (see docs/errors/store-unreadable.md)")]
    Directory {
        path: PathBuf,
        #[source]
        cause: std::io::Error,
    },
    #[error("cannot open store file `{path}` (see docs/errors/store-unreadable.md)")]
    Open {
        path: PathBuf,
        #[source]
        cause: Box<redb::Error>,
    },
    #[error("store file `{path}` is in use by another process (see docs/errors/store-in-use.md)")]
    InUse { path: PathBuf },
    #[error(
        "store file `{path}` is damaged: {what}; restore it from a backup or move it away \
         (see docs/errors/store-damaged.md)"
    )]
    Damaged { path: PathBuf, what: String },
    #[error(
        "store file `{path}` has format {found}, this program reads {FORMAT} \
         (see docs/errors/store-format.md)"
    )]
    Format { path: PathBuf, found: u64 },
    #[error("cannot start the thread that writes the store")]
    Thread(#[source] std::io::Error),
}

impl OpenError {
    /// A name that stays, and that of the page about it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Directory { .. } | Self::Open { .. } | Self::Thread(_) => "store-unreadable",
            Self::InUse { .. } => "store-in-use",
            Self::Damaged { .. } => "store-damaged",
            Self::Format { .. } => "store-format",
        }
    }
}

/// What the file library says, in words of ours.
pub(crate) fn open_error(path: &Path, cause: redb::Error) -> OpenError {
    let path = path.to_owned();
    match cause {
        redb::Error::DatabaseAlreadyOpen => OpenError::InUse { path },
        redb::Error::Corrupted(what) => OpenError::Damaged { path, what },
        redb::Error::RepairAborted => OpenError::Damaged {
            path,
            what: "it cannot be repaired".into(),
        },
        redb::Error::Io(cause)
            if matches!(
                cause.kind(),
                std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof
            ) =>
        {
            OpenError::Damaged {
                path,
                what: cause.to_string(),
            }
        }
        cause => OpenError::Open {
            path,
            cause: Box::new(cause),
        },
    }
}
