//! Answers to a registry's question who is asking.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;
use serde::Deserialize;
use url::Url;

use super::{ClientError, Credentials, RegistryClient, is_loopback};

/// Largest answer of a token service.
const TOKEN_BYTES_MAX: u64 = 256 * 1024;

/// What a token is good for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Scope {
    pub(super) repository: String,
    pub(super) push: bool,
}

impl Scope {
    pub(super) fn pull(repository: &str) -> Self {
        Self {
            repository: repository.to_owned(),
            push: false,
        }
    }

    pub(super) fn push(repository: &str) -> Self {
        Self {
            repository: repository.to_owned(),
            push: true,
        }
    }

    fn text(&self) -> Option<String> {
        let actions = if self.push { "pull,push" } else { "pull" };
        (!self.repository.is_empty()).then(|| format!("repository:{}:{actions}", self.repository))
    }
}

/// What a registry wants to see.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    Bearer {
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
}

impl Challenge {
    /// Reads one `WWW-Authenticate` value; none if it asks for something else.
    pub(super) fn parse(value: &str) -> Option<Self> {
        let (scheme, parameters) = value
            .trim()
            .split_once(' ')
            .unwrap_or_else(|| (value.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (mut realm, mut service, mut scope) = (None, None, None);
        for (name, value) in parameters_of(parameters) {
            match name.to_ascii_lowercase().as_str() {
                "realm" => realm = Some(value),
                "service" => service = Some(value),
                "scope" => scope = Some(value),
                _ => {}
            }
        }
        Some(Self::Bearer {
            realm: realm?,
            service,
            scope,
        })
    }
}

/// Splits `a="b,c", d=e`.
fn parameters_of(mut text: &str) -> Vec<(&str, String)> {
    let mut found = Vec::new();
    while let Some((name, rest)) = text.split_once('=') {
        let rest = rest.trim_start();
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_once(',').unwrap_or((rest, "")),
        };
        found.push((name.trim(), value.trim().to_owned()));
        text = rest.trim_start_matches([',', ' ']);
    }
    found
}

/// Returns a secret header, if its text can be one.
pub(super) fn header(scheme: &str, secret: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("{scheme} {secret}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn basic(user: &str, password: &str) -> Option<HeaderValue> {
    header("Basic", &STANDARD.encode(format!("{user}:{password}")))
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
}

impl RegistryClient {
    /// Returns the header that answers `challenge`; none if we have nothing to answer with.
    pub(super) async fn answer(
        &self,
        challenge: &Challenge,
        scope: &Scope,
    ) -> Result<Option<HeaderValue>, ClientError> {
        match (challenge, &self.options.credentials) {
            (_, Credentials::Bearer(token)) => Ok(header("Bearer", token)),
            (Challenge::Basic, Credentials::Basic { user, password }) => Ok(basic(user, password)),
            (Challenge::Basic, Credentials::Anonymous) => Ok(None),
            (
                Challenge::Bearer {
                    realm,
                    service,
                    scope: asked,
                },
                _,
            ) => {
                let scope = scope.text().or_else(|| asked.clone());
                self.token(realm, service.as_deref(), scope.as_deref())
                    .await
                    .map(Some)
            }
        }
    }

    async fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        scope: Option<&str>,
    ) -> Result<HeaderValue, ClientError> {
        let malformed = |what: &str| ClientError::Malformed {
            registry: self.registry.clone(),
            what: what.to_owned(),
        };
        let mut url = Url::parse(realm).map_err(|_| malformed("challenge with a wrong realm"))?;
        let host = url[url::Position::BeforeHost..url::Position::AfterPort].to_owned();
        let same = url.origin() == self.base.origin();
        if url.scheme() != "https" && !is_loopback(&host) && !same {
            return Err(ClientError::PlainRealm {
                registry: self.registry.clone(),
                realm: realm.to_owned(),
            });
        }
        {
            let mut query = url.query_pairs_mut();
            for (name, value) in [("service", service), ("scope", scope)] {
                if let Some(value) = value {
                    query.append_pair(name, value);
                }
            }
        }
        let header = match &self.options.credentials {
            Credentials::Basic { user, password } => basic(user, password),
            Credentials::Anonymous | Credentials::Bearer(_) => None,
        };
        let response = self
            .send_once(
                self.options.idle_timeout,
                self.http.get(url),
                header.as_ref(),
            )
            .await?;
        if response.status() == reqwest::StatusCode::UNAUTHORIZED {
            return Err(ClientError::Unauthorized {
                registry: self.registry.clone(),
                repository: scope.unwrap_or("the registry").to_owned(),
                anonymous: self.options.credentials == Credentials::Anonymous,
            });
        }
        let response = self.expect(response, "a token").await?;
        let body = self.body(response, TOKEN_BYTES_MAX).await?;
        let answer: Answer =
            serde_json::from_slice(&body).map_err(|_| malformed("token that is not JSON"))?;
        let token = answer
            .token
            .or(answer.access_token)
            .ok_or_else(|| malformed("answer without a token"))?;
        self::header("Bearer", &token).ok_or_else(|| malformed("token that cannot be a header"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_with_quotes_commas_and_cases() {
        let text =
            r#"bearer realm="https://auth.io/token",service="r.io",scope="repository:a:pull,push""#;
        assert_eq!(
            Challenge::parse(text),
            Some(Challenge::Bearer {
                realm: "https://auth.io/token".into(),
                service: Some("r.io".into()),
                scope: Some("repository:a:pull,push".into()),
            })
        );
        assert_eq!(
            Challenge::parse("Basic realm=\"x\""),
            Some(Challenge::Basic)
        );
        assert_eq!(Challenge::parse("Basic"), Some(Challenge::Basic));
        assert_eq!(Challenge::parse("Negotiate"), None);
        assert_eq!(Challenge::parse("Bearer service=x"), None);
    }
}
