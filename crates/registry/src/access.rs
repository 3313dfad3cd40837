//! Who asks, and the port that decides what they may do.

use std::fmt;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What a request carries to say who sent it.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    Basic { user: String, password: String },
    Bearer(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Basic { user, .. } => write!(f, "Basic({user})"),
            Self::Bearer(_) => f.write_str("Bearer"),
        }
    }
}

impl Credentials {
    /// Reads the `Authorization` header; what cannot be read counts as absent.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let (scheme, rest) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(Self::Bearer(rest.trim().to_owned()));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
        let (user, password) = decoded.split_once(':')?;
        Some(Self::Basic {
            user: user.to_owned(),
            password: password.to_owned(),
        })
    }
}

/// What a request wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// `GET /v2/`, which names no repository.
    ///
    /// Common clients learn here whether they must log in: who answers
    /// "allowed" to nobody in particular will never be sent any credentials.
    Ping,
    Pull,
    Push,
    Delete,
}

/// The answer to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Allowed,
    /// Credentials are missing or wrong.
    Unauthenticated,
    /// The caller is known and may not.
    Forbidden,
}

/// Decides what callers may do; asked for every request.
pub trait Authorizer: Send + Sync + 'static {
    fn authorize(
        &self,
        credentials: Option<&Credentials>,
        action: Action,
        repository: &str,
    ) -> Decision;
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[track_caller]
    fn check(value: &str, expected: Option<&Credentials>) {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        assert_eq!(Credentials::of(&headers).as_ref(), expected);
    }

    #[test]
    fn both_schemes_are_read_and_others_are_nobody() {
        let basic = Credentials::Basic {
            user: "ci".into(),
            password: "a:b".into(),
        };
        check(
            &format!("basic {}", STANDARD.encode("ci:a:b")),
            Some(&basic),
        );
        check("Bearer token", Some(&Credentials::Bearer("token".into())));
        check("Basic ???", None);
        check("Negotiate abc", None);
        check("Basic", None);
    }
}
