//! One request to the API server: pace, timeout, retries, classes of errors.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, Request, header};
use http_body_util::BodyExt as _;
use kube::client::Body;
use serde_json::Value;
use tokio::time::Instant;
use tracing::debug;

use crate::discovery::Discovery;
use crate::error::CallError;
use crate::pace::Pace;

/// The most bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How a [`Cluster`] paces itself.
#[derive(Debug, Clone)]
pub struct Options {
    /// Requests at once to begin with.
    pub concurrency: usize,
    /// The most requests at once, however well it goes.
    pub concurrency_max: usize,
    /// How long one try may take.
    pub try_timeout: Duration,
    /// How long a request with all its tries may take; a longer wait the
    /// server asks for ends it as well.
    pub total_timeout: Duration,
    /// Pause before the second try; it doubles with each further one.
    pub retry_pause: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            concurrency: 16,
            concurrency_max: 64,
            try_timeout: Duration::from_secs(10),
            total_timeout: Duration::from_secs(30),
            retry_pause: Duration::from_millis(100),
        }
    }
}

/// A Kubernetes API of any make.
#[derive(Clone)]
pub struct Cluster {
    client: kube::Client,
    shared: Arc<Shared>,
    /// Whom the API server is asked to judge requests by, instead of the caller.
    acting_as: Option<HeaderValue>,
    /// Asked before every write is sent, and before it is sent again.
    fence: Option<Fence>,
}

/// Says whether its holder may still write.
///
/// Whoever works for somebody else's benefit (a leader) can lose that right at
/// any moment, also between two tries of one request.
#[derive(Clone)]
pub struct Fence(Arc<dyn Fn() -> bool + Send + Sync>);

impl Fence {
    pub fn new(is_open: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_open))
    }

    pub fn is_open(&self) -> bool {
        (self.0)()
    }
}

impl std::fmt::Debug for Fence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Fence").field(&self.is_open()).finish()
    }
}

struct Shared {
    options: Options,
    pace: Pace,
    discovery: Discovery,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

/// A request before it is sent; it can be sent again.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
}

impl Call {
    pub(crate) fn get(path: String) -> Self {
        Self {
            method: Method::GET,
            path,
            content_type: "application/json",
            body: Vec::new(),
        }
    }
}

/// A good answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(self, what: &str) -> Result<Value, CallError> {
        serde_json::from_slice(&self.body).map_err(|cause| CallError::Unreadable {
            what: what.to_owned(),
            cause: Box::new(cause),
        })
    }
}

impl Cluster {
    pub fn new(client: kube::Client) -> Self {
        Self::with_options(client, Options::default())
    }

    pub fn with_options(client: kube::Client, options: Options) -> Self {
        let pace = Pace::new(options.concurrency, options.concurrency_max);
        Self {
            client,
            shared: Arc::new(Shared {
                options,
                pace,
                discovery: Discovery::default(),
            }),
            acting_as: None,
            fence: None,
        }
    }

    /// Returns the same cluster, in which nothing is written unless the fence is open.
    #[must_use]
    pub fn fenced(&self, fence: Fence) -> Self {
        Self {
            fence: Some(fence),
            ..self.clone()
        }
    }

    /// Whether writes would be sent at this moment.
    pub fn may_write(&self) -> bool {
        self.fence.as_ref().is_none_or(Fence::is_open)
    }

    /// Returns the same cluster as another user may use it; pace and discovery are shared.
    ///
    /// The API server asks whether the caller may impersonate that user.
    #[must_use]
    pub fn acting_as(&self, user: &str) -> Self {
        // A name that cannot be sent must not fall back to the caller's own rights.
        let user = HeaderValue::from_str(user)
            .unwrap_or_else(|_| HeaderValue::from_static("foreshore:unnameable"));
        Self {
            acting_as: Some(user),
            ..self.clone()
        }
    }

    /// Returns the client underneath, for what this crate does not do.
    pub fn client(&self) -> &kube::Client {
        &self.client
    }

    pub(crate) fn discovery(&self) -> &Discovery {
        &self.shared.discovery
    }

    /// Sends a request that may be sent twice without harm, and tries again
    /// while the failure is transient and time is left.
    pub(crate) async fn call(&self, call: &Call) -> Result<Answer, CallError> {
        let options = &self.shared.options;
        let deadline = Instant::now() + options.total_timeout;
        let mut pause = options.retry_pause;
        let mut attempt = 1_u32;
        loop {
            let error = match self.try_once(call).await {
                Ok(answer) => return Ok(answer),
                Err(error) if error.is_transient() => error,
                Err(error) => return Err(error),
            };
            let wait = match &error {
                CallError::TooManyRequests {
                    retry_after: Some(wait),
                    ..
                } => (*wait).max(pause),
                _ => pause,
            };
            if Instant::now() + wait >= deadline {
                return Err(error);
            }
            debug!(
                error = &error as &dyn std::error::Error,
                attempt,
                path = call.path,
                "cluster did not carry out a request; will retry"
            );
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(Duration::from_secs(5));
            attempt += 1;
        }
    }

    async fn try_once(&self, call: &Call) -> Result<Answer, CallError> {
        let _place = self.shared.pace.place().await;
        // Looked at last: the wait for a place may have been a long one.
        if call.method != Method::GET && !self.may_write() {
            return Err(CallError::Fenced);
        }
        let after = self.shared.options.try_timeout;
        let result = match tokio::time::timeout(after, self.send(call)).await {
            Ok(result) => result,
            Err(_) => Err(CallError::Timeout { after }),
        };
        match &result {
            Ok(_) => self.shared.pace.went_well(),
            Err(CallError::TooManyRequests { retry_after, .. }) => {
                self.shared.pace.slow_down(*retry_after);
            }
            Err(_) => {}
        }
        result
    }

    async fn send(&self, call: &Call) -> Result<Answer, CallError> {
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(&call.path)
            .header(header::CONTENT_TYPE, call.content_type)
            .header(header::ACCEPT, "application/json");
        if let Some(user) = &self.acting_as {
            request = request.header("impersonate-user", user);
        }
        let request = request
            .body(Body::from(call.body.clone()))
            .map_err(|cause| CallError::Invalid {
                message: format!("`{}` is no path of a request: {cause}", call.path),
                fields: Vec::new(),
            })?;
        let answer = self.client.send(request).await.map_err(unreachable)?;
        let code = answer.status().as_u16();
        let retry_after = answer
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.parse().ok())
            .map(Duration::from_secs);
        let body = http_body_util::Limited::new(answer.into_body(), ANSWER_BYTES_MAX);
        let body = body
            .collect()
            .await
            .map_err(|cause| CallError::Unreachable { cause })?;
        let body = body.to_bytes().to_vec();
        if (200..300).contains(&code) {
            return Ok(Answer { code, body });
        }
        Err(CallError::of_answer(code, retry_after, &body))
    }
}

fn unreachable(error: kube::Error) -> CallError {
    CallError::Unreachable {
        cause: Box::new(error),
    }
}

/// Escapes a value for a query string.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            write!(escaped, "%{byte:02X}").expect("writing to a string cannot fail");
        }
    }
    escaped
}
