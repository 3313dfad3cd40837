//! The question of who may read or write, asked through a port.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use secrecy::SecretString;

/// What the client shows.
#[derive(Clone)]
pub enum Credentials {
    Basic {
        user: String,
        password: SecretString,
    },
    Bearer(SecretString),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Basic { .. } => "Credentials::Basic(…)",
            Self::Bearer(_) => "Credentials::Bearer(…)",
        })
    }
}

impl Credentials {
    /// Reads the `Authorization` header; none if there is none that can be read.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, rest) = value.split_once(' ')?;
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(Self::Bearer(rest.trim().into()));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let pair = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
        let (user, password) = pair.split_once(':')?;
        Some(Self::Basic {
            user: user.to_owned(),
            password: password.into(),
        })
    }
}

/// What the client wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
}

/// The answer to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permission {
    Granted,
    /// Nobody is known by these credentials.
    LoginNeeded,
    /// Known, and not allowed.
    Denied {
        reason: String,
    },
}

/// Decides who may read and write the repository.
#[async_trait::async_trait]
pub trait Authorizer: Send + Sync {
    async fn authorize(&self, credentials: Option<Credentials>, access: Access) -> Permission;
}
