//! What can go wrong with a registry.

use std::time::Duration;

use foreshore_model::Digest;
use serde::Deserialize;

use crate::blobs::BlobError;

/// Why a registry did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("`{registry}` is not the address of a registry (`host` or `host:port`)")]
    Registry { registry: String },
    #[error("cannot prepare a connection to registry `{registry}`")]
    Setup {
        registry: String,
        #[source]
        cause: reqwest::Error,
    },
    #[error("cannot reach registry `{registry}`")]
    Unreachable {
        registry: String,
        #[source]
        cause: reqwest::Error,
    },
    #[error("registry `{registry}` was silent for {} s", waited.as_secs())]
    Silent { registry: String, waited: Duration },
    #[error(
        "registry `{registry}` wants {} for `{repository}`",
        if *anonymous { "a login" } else { "other credentials" }
    )]
    Unauthorized {
        registry: String,
        repository: String,
        anonymous: bool,
    },
    #[error("registry `{registry}` does not allow access to {what}")]
    Forbidden { registry: String, what: String },
    #[error("registry `{registry}` has no {what}")]
    NotFound { registry: String, what: String },
    #[error("registry `{registry}` answered {status} for {what}: {said}")]
    Answered {
        registry: String,
        what: String,
        status: u16,
        said: String,
    },
    #[error("registry `{registry}` sent `{found}` where `{expected}` was asked for")]
    Mismatch {
        registry: String,
        expected: Digest,
        found: Digest,
    },
    #[error("registry `{registry}` sent more than the allowed {limit} bytes")]
    TooLarge { registry: String, limit: u64 },
    #[error("registry `{registry}` sent an answer that cannot be used: {what}")]
    Malformed { registry: String, what: String },
    #[error("registry `{registry}` asks for the credentials to be sent in plain text to `{realm}`")]
    PlainRealm { registry: String, realm: String },
    #[error(transparent)]
    Blob(#[from] BlobError),
}

impl ClientError {
    /// Tells whether the registry says that the thing does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// Tells whether trying again later may help although nothing changes here.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Silent { .. } => true,
            Self::Answered { status, .. } => *status == 429 || *status >= 500,
            _ => false,
        }
    }
}

/// Returns the messages of an error answer, or its first words.
pub(super) fn said(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Errors {
        errors: Vec<Told>,
    }
    #[derive(Deserialize)]
    struct Told {
        code: String,
        #[serde(default)]
        message: String,
    }
    let text = match serde_json::from_slice::<Errors>(body) {
        Ok(Errors { errors }) => {
            let told: Vec<_> = errors
                .iter()
                .map(|told| format!("{} {}", told.code, told.message))
                .collect();
            told.join("; ")
        }
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let text: String = text
        .trim()
        .chars()
        .filter(|c| !c.is_control())
        .take(300)
        .collect();
    if text.is_empty() {
        "nothing more".to_owned()
    } else {
        text
    }
}
