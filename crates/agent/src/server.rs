//! The questions the agent has for the server.

use std::collections::BTreeMap;
use std::time::Duration;

use foreshore_model::api::{Info, OpenRequests, SitePreview};
use foreshore_model::{EnvironmentName, Outcome, ServiceName, SiteName};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use url::Url;

use crate::options::ServerOptions;

/// How long the server holds a question for the tip back while nothing moves.
const TIP_WAIT: Duration = Duration::from_secs(30);
/// How much later than that an answer may come.
const MARGIN: Duration = Duration::from_secs(10);

/// Why the server did not take or give something.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    #[error("cannot reach the server")]
    Unreachable(#[source] reqwest::Error),
    #[error("the server answered {code}: {message}")]
    Answer { code: u16, message: String },
    #[error("`{path}` is no path below the server's address")]
    Path { path: String },
}

impl ServerError {
    /// Whether the very same request will never be accepted.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Answer {
                code: 400 | 413 | 422,
                ..
            }
        )
    }
}

#[derive(Debug, Deserialize)]
struct Tip {
    commit: String,
}

/// The server, as the agent talks to it.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    http: reqwest::Client,
    options: ServerOptions,
}

impl Server {
    pub(crate) fn new(options: ServerOptions) -> Result<Self, reqwest::Error> {
        foreshore_cluster::install_tls_provider();
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .build()?;
        Ok(Self { http, options })
    }

    /// Returns the tip of the config repository once it is not `after`, or the
    /// same again when the server stops holding the question back.
    pub(crate) async fn tip(
        &self,
        after: &str,
        environments: &[EnvironmentName],
        site: &SiteName,
    ) -> Result<String, ServerError> {
        let names: Vec<&str> = environments.iter().map(EnvironmentName::as_str).collect();
        let request = self
            .http
            .get(self.url("api/v1/tip")?)
            .timeout(TIP_WAIT + MARGIN)
            .query(&[
                ("after", after),
                ("timeout", &TIP_WAIT.as_secs().to_string()),
                ("environments", &names.join(",")),
                ("site", site.as_str()),
            ]);
        let answer = self.send(request).await?;
        let tip: Tip = answer.json().await.map_err(ServerError::Unreachable)?;
        Ok(tip.commit)
    }

    /// Returns the newest outcome of a service in every site of an environment.
    pub(crate) async fn outcomes(
        &self,
        environment: &EnvironmentName,
        service: &ServiceName,
    ) -> Result<Vec<Outcome>, ServerError> {
        let path = format!("api/v1/outcomes/{environment}/{service}");
        let request = self.http.get(self.url(&path)?).timeout(MARGIN);
        let answer = self.send(request).await?;
        answer.json().await.map_err(ServerError::Unreachable)
    }

    /// Returns the key that the server signs artifacts with, if it names one.
    pub(crate) async fn signing_key(&self) -> Result<Option<String>, ServerError> {
        let request = self.http.get(self.url("api/v1/info")?).timeout(MARGIN);
        let answer = self.send(request).await?;
        let info: Info = answer.json().await.map_err(ServerError::Unreachable)?;
        Ok(info.signing_key)
    }

    /// Returns what waits for approval once it is another than `version`.
    pub(crate) async fn requests(&self, version: &str) -> Result<OpenRequests, ServerError> {
        let request = self
            .http
            .get(self.url("api/v1/requests")?)
            .timeout(TIP_WAIT + MARGIN)
            .query(&[
                ("after", version),
                ("timeout", &TIP_WAIT.as_secs().to_string()),
            ]);
        let answer = self.send(request).await?;
        answer.json().await.map_err(ServerError::Unreachable)
    }

    /// Returns the files that a request would release.
    pub(crate) async fn request_files(
        &self,
        id: &str,
    ) -> Result<BTreeMap<String, String>, ServerError> {
        let path = format!("api/v1/requests/{id}/files");
        let answer = self
            .send(self.http.get(self.url(&path)?).timeout(MARGIN))
            .await?;
        answer.json().await.map_err(ServerError::Unreachable)
    }

    pub(crate) async fn tell_preview(&self, preview: &SitePreview) -> Result<(), ServerError> {
        let request = self
            .http
            .post(self.url("api/v1/previews")?)
            .timeout(MARGIN)
            .json(preview);
        self.send(request).await.map(drop)
    }

    pub(crate) async fn report(&self, outcomes: &[Outcome]) -> Result<(), ServerError> {
        let request = self
            .http
            .post(self.url("api/v1/outcomes")?)
            .timeout(MARGIN)
            .json(outcomes);
        self.send(request).await.map(drop)
    }

    fn url(&self, path: &str) -> Result<Url, ServerError> {
        let mut base = self.options.url.clone();
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        base.join(path).map_err(|_| ServerError::Path {
            path: path.to_owned(),
        })
    }

    async fn send(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, ServerError> {
        let request = request.bearer_auth(self.options.token.expose_secret());
        let answer = request.send().await.map_err(ServerError::Unreachable)?;
        let code = answer.status();
        if code.is_success() {
            return Ok(answer);
        }
        // The text only explains the code; without it the code still says enough.
        let text = answer.text().await.unwrap_or_default();
        let message = text.chars().take(300).collect();
        Err(ServerError::Answer {
            code: code.as_u16(),
            message,
        })
    }
}
