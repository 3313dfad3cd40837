//! Why a run cannot start.

use std::io;
use std::path::PathBuf;

/// Said before anything is sent.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("cannot find the host `{host}`")]
    Resolve {
        host: String,
        #[source]
        cause: io::Error,
    },
    #[error("cannot find the host `{host}`: no answer within {seconds} s")]
    ResolveTimeout { host: String, seconds: u64 },
    #[error("cannot read the certificates `{path}`")]
    Certificates {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("`{path}` holds no certificate that can be read")]
    NoCertificates { path: PathBuf },
    #[error("`{host}` cannot be the name in a certificate")]
    ServerName { host: String },
    #[error("the run may need {needed} open files, and this process may open {limit}")]
    OpenFiles { needed: u64, limit: u64 },
    #[error("`{data}` is unique and has {rows} rows; the run needs {needed}")]
    Rows {
        data: String,
        rows: u64,
        needed: u64,
    },
    #[error("cannot start a worker")]
    Worker(#[source] io::Error),
}

impl RunError {
    /// What to type next.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Resolve { .. } | Self::ResolveTimeout { .. } => {
                Some("check the address of the target".to_owned())
            }
            Self::OpenFiles { needed, .. } => Some(format!(
                "raise the limit with `ulimit -n {needed}`, or lower `max-in-flight` or `users`"
            )),
            Self::Rows { data, .. } => Some(format!("add rows, or declare `{data}` as `shared`")),
            _ => None,
        }
    }

    /// Whether the target could not be found, rather than the run being described wrongly.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Resolve { .. } | Self::ResolveTimeout { .. })
    }
}
