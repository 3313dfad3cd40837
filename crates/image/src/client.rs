//! A client of the OCI distribution protocol, for one registry.
//!
//! Every answer is checked against the digest it was asked by, every wait has
//! an end, and no answer is kept in memory beyond a limit.

mod auth;
mod blob;
mod error;
mod manifest;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderValue, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{RequestBuilder, Response, StatusCode};
use url::Url;

use auth::{Challenge, Scope};
pub use blob::PushedBlob;
pub use error::ClientError;
pub use manifest::Fetched;

/// Redirects of one request; content networks need one.
const REDIRECTS_MAX: usize = 5;
/// Attempts of a request that the registry was too busy for.
const ATTEMPTS_MAX: u32 = 3;
/// The first wait; each further one is three times as long.
const BUSY_WAIT: Duration = Duration::from_millis(100);
/// The longest time waited because a registry asks for it.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(5);
/// As much of an error's text as is read.
const ERROR_BYTES_MAX: u64 = 64 * 1024;

/// Who asks.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Credentials {
    #[default]
    Anonymous,
    Basic {
        user: String,
        password: String,
    },
    /// Sent as it is with every request.
    Bearer(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("Anonymous"),
            Self::Basic { user, .. } => write!(f, "Basic({user})"),
            Self::Bearer(_) => f.write_str("Bearer"),
        }
    }
}

/// Which registries are spoken to without TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PlainHttp {
    /// Those on this machine's loopback addresses.
    #[default]
    Loopback,
    /// Those and the named ones, each `host[:port]`.
    And(Vec<String>),
    Never,
}

impl PlainHttp {
    fn allows(&self, registry: &str) -> bool {
        match self {
            Self::Loopback => is_loopback(registry),
            Self::And(registries) => {
                is_loopback(registry) || registries.iter().any(|known| known == registry)
            }
            Self::Never => false,
        }
    }
}

fn is_loopback(registry: &str) -> bool {
    Url::parse(&format!("http://{registry}/")).is_ok_and(|url| match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    })
}

/// How a registry is spoken to.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    pub credentials: Credentials,
    pub plain_http: PlainHttp,
    pub connect_timeout: Duration,
    /// The longest silence of the registry.
    pub idle_timeout: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            credentials: Credentials::default(),
            plain_http: PlainHttp::default(),
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(30),
        }
    }
}

/// Speaks to one registry; clones share connections and tokens.
#[derive(Debug, Clone)]
pub struct RegistryClient {
    registry: String,
    base: Url,
    http: reqwest::Client,
    options: ClientOptions,
    /// What the registry accepted last, by scope.
    accepted: Arc<Mutex<HashMap<Scope, HeaderValue>>>,
}

/// Lets a redirect go elsewhere, but never from TLS to plain text.
fn redirects() -> reqwest::redirect::Policy {
    reqwest::redirect::Policy::custom(|attempt| {
        let downgraded = attempt.url().scheme() == "http"
            && attempt.previous().iter().any(|url| url.scheme() == "https");
        if downgraded {
            attempt.error("redirected from https to http")
        } else if attempt.previous().len() > REDIRECTS_MAX {
            attempt.error("redirected too often")
        } else {
            attempt.follow()
        }
    })
}

impl RegistryClient {
    /// Prepares to speak to `registry` (`host[:port]`); connects to nothing yet.
    pub fn new(registry: &str, options: ClientOptions) -> Result<Self, ClientError> {
        let plain = options.plain_http.allows(registry);
        let scheme = if plain { "http" } else { "https" };
        let base = Url::parse(&format!("{scheme}://{registry}/v2/")).map_err(|_| {
            ClientError::Registry {
                registry: registry.to_owned(),
            }
        })?;
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Losing the race means that another thread has installed one.
            drop(rustls::crypto::ring::default_provider().install_default());
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("foreshore/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(options.connect_timeout)
            .redirect(redirects())
            .no_proxy();
        if plain {
            // The machine's certificates are not needed, and may be missing.
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().map_err(|cause| ClientError::Setup {
            registry: registry.to_owned(),
            cause,
        })?;
        Ok(Self {
            registry: registry.to_owned(),
            base,
            http,
            options,
            accepted: Arc::default(),
        })
    }

    /// Returns `host[:port]`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Asks whether a registry answers here and lets us in.
    pub async fn ping(&self) -> Result<(), ClientError> {
        let scope = Scope {
            repository: String::new(),
            push: false,
        };
        let response = self
            .send(&scope, || self.http.get(self.base.clone()))
            .await?;
        self.expect(response, "the registry").await.map(drop)
    }

    fn url(&self, repository: &str, rest: &str) -> Url {
        // Repositories, tags and digests are checked before; they hold nothing that a URL would quote.
        self.base
            .join(&format!("{repository}/{rest}"))
            .expect("a checked path joins a base URL")
    }

    fn unreachable(&self, cause: reqwest::Error) -> ClientError {
        ClientError::Unreachable {
            registry: self.registry.clone(),
            cause: cause.without_url(),
        }
    }

    fn silent(&self, waited: Duration) -> ClientError {
        ClientError::Silent {
            registry: self.registry.clone(),
            waited,
        }
    }

    /// Sends what `request` builds; answers a challenge once, and tries again when the registry is too busy.
    async fn send(
        &self,
        scope: &Scope,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<Response, ClientError> {
        let mut attempt = 1;
        loop {
            let response = self
                .send_within(self.options.idle_timeout, scope, &request)
                .await?;
            let busy = matches!(response.status().as_u16(), 429 | 502 | 503 | 504);
            if !busy || attempt == ATTEMPTS_MAX {
                return Ok(response);
            }
            let asked = response
                .headers()
                .get(RETRY_AFTER)
                .and_then(|value| value.to_str().ok()?.parse().ok());
            let wait = asked.map_or_else(|| BUSY_WAIT * 3u32.pow(attempt - 1), Duration::from_secs);
            tracing::debug!(
                registry = self.registry,
                status = response.status().as_u16(),
                attempt,
                "registry is busy; will retry"
            );
            tokio::time::sleep(wait.min(RETRY_AFTER_MAX)).await;
            attempt += 1;
        }
    }

    /// Sends once, or twice if the registry asks who we are.
    async fn send_within(
        &self,
        timeout: Duration,
        scope: &Scope,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<Response, ClientError> {
        let mut header = self.known(scope);
        let mut may_have_run_out = header.is_some();
        loop {
            let response = self.send_once(timeout, request(), header.as_ref()).await?;
            if response.status() != StatusCode::UNAUTHORIZED {
                if let Some(header) = header {
                    self.accepted
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(scope.clone(), header);
                }
                return Ok(response);
            }
            let refused = || ClientError::Unauthorized {
                registry: self.registry.clone(),
                repository: scope.repository.clone(),
                anonymous: self.options.credentials == Credentials::Anonymous,
            };
            if header.is_some() && !may_have_run_out {
                return Err(refused());
            }
            may_have_run_out = false;
            let challenges = response.headers().get_all(WWW_AUTHENTICATE);
            let challenge = challenges
                .iter()
                .find_map(|value| Challenge::parse(value.to_str().ok()?));
            let answer = self.answer(&challenge.ok_or_else(refused)?, scope).await?;
            header = Some(answer.ok_or_else(refused)?);
        }
    }

    async fn send_once(
        &self,
        timeout: Duration,
        mut request: RequestBuilder,
        header: Option<&HeaderValue>,
    ) -> Result<Response, ClientError> {
        if let Some(header) = header {
            request = request.header(AUTHORIZATION, header);
        }
        match tokio::time::timeout(timeout, request.send()).await {
            Ok(response) => response.map_err(|cause| self.unreachable(cause)),
            Err(_) => Err(self.silent(timeout)),
        }
    }

    fn known(&self, scope: &Scope) -> Option<HeaderValue> {
        if let Credentials::Bearer(token) = &self.options.credentials {
            return auth::header("Bearer", token);
        }
        self.accepted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(scope)
            .cloned()
    }

    /// Turns an answer that is no success into an error; `what` names what was asked for.
    async fn expect(&self, response: Response, what: &str) -> Result<Response, ClientError> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let registry = self.registry.clone();
        let what = what.to_owned();
        match status {
            StatusCode::NOT_FOUND => Err(ClientError::NotFound { registry, what }),
            StatusCode::FORBIDDEN => Err(ClientError::Forbidden { registry, what }),
            _ => {
                let said = self
                    .body(response, ERROR_BYTES_MAX)
                    .await
                    .unwrap_or_default();
                Err(ClientError::Answered {
                    registry,
                    what,
                    status: status.as_u16(),
                    said: error::said(&said),
                })
            }
        }
    }

    /// Reads a whole answer of at most `limit` bytes.
    async fn body(&self, mut response: Response, limit: u64) -> Result<Vec<u8>, ClientError> {
        let mut body = Vec::new();
        loop {
            let chunk =
                match tokio::time::timeout(self.options.idle_timeout, response.chunk()).await {
                    Ok(chunk) => chunk.map_err(|cause| self.unreachable(cause))?,
                    Err(_) => return Err(self.silent(self.options.idle_timeout)),
                };
            let Some(chunk) = chunk else {
                return Ok(body);
            };
            if (body.len() + chunk.len()) as u64 > limit {
                return Err(ClientError::TooLarge {
                    registry: self.registry.clone(),
                    limit,
                });
            }
            body.extend_from_slice(&chunk);
        }
    }

    /// Returns where an upload goes on, and whether that is still this registry.
    fn location(&self, response: &Response) -> Result<(Url, bool), ClientError> {
        let location = response
            .headers()
            .get(LOCATION)
            .and_then(|value| value.to_str().ok());
        let url = location.and_then(|location| response.url().join(location).ok());
        let url = url.ok_or_else(|| ClientError::Malformed {
            registry: self.registry.clone(),
            what: "upload without a usable location".to_owned(),
        })?;
        let ours = url.origin() == self.base.origin();
        Ok((url, ours))
    }
}
