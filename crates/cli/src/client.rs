//! Speaks to the server; turns its problems into failures.

use std::time::Duration;

use foreshore_model::ExitCode;
use foreshore_model::api::Problem;
use jiff::Timestamp;
use reqwest::{Method, Response, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::{Failure, chain};

/// Longer than the server's longest poll.
const TIMEOUT: Duration = Duration::from_mins(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// One server, one identity.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    server: String,
    token: String,
}

impl Client {
    pub(crate) fn new(server: &str, token: &str) -> Result<Self, Failure> {
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .build()
            .map_err(|error| {
                Failure::new(
                    ExitCode::Bug,
                    format!("cannot make an HTTP client: {}", chain(&error)),
                )
            })?;
        Ok(Self {
            http,
            server: server.trim_end_matches('/').to_owned(),
            token: token.to_owned(),
        })
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.request(Method::GET, path, None::<&()>).await
    }

    /// The same, with the server's clock when it answered.
    pub(crate) async fn get_dated<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<(T, Option<Timestamp>), Failure> {
        let response = self.send(Method::GET, path, None::<&()>).await?;
        let date = response
            .headers()
            .get(header::DATE)
            .and_then(|date| date.to_str().ok())
            .and_then(|date| jiff::fmt::rfc2822::parse(date).ok())
            .map(|date| date.timestamp());
        Ok((self.understand(response).await?, date))
    }

    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        self.request(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        self.request(Method::PUT, path, Some(body)).await
    }

    pub(crate) async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.request(Method::DELETE, path, None::<&()>).await
    }

    async fn request<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, Failure> {
        let response = self.send(method, path, body).await?;
        self.understand(response).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Response, Failure> {
        let url = format!("{}/api/v1{path}", self.server);
        let mut request = self.http.request(method, &url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        request
            .send()
            .await
            .map_err(|error| self.unreachable(&error))
    }

    async fn understand<T: DeserializeOwned>(&self, response: Response) -> Result<T, Failure> {
        let (status, url) = (response.status(), response.url().clone());
        let bytes = response
            .bytes()
            .await
            .map_err(|error| self.unreachable(&error))?;
        if status.is_success() {
            return serde_json::from_slice(&bytes).map_err(|error| {
                Failure::new(
                    ExitCode::Failed,
                    format!("`{url}` answered what this version does not understand: {error}"),
                )
                .hint("compare `foreshore --version` with the server's version on its dashboard")
            });
        }
        Err(self.refused(status, &bytes))
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        Failure::new(
            ExitCode::Unreachable,
            format!(
                "cannot reach the server `{}`: {}",
                self.server,
                chain(error)
            ),
        )
        .hint("is it running? start it with `foreshore up`")
    }

    fn refused(&self, status: StatusCode, bytes: &[u8]) -> Failure {
        if let Ok(problem) = serde_json::from_slice::<Problem>(bytes) {
            return Failure::from_problem(problem);
        }
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(500)]).into_owned();
        let code = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ExitCode::Unreachable,
            StatusCode::NOT_FOUND => ExitCode::NotFound,
            _ => ExitCode::Failed,
        };
        Failure::new(
            code,
            format!(
                "the server `{}` answered {status}: {}",
                self.server,
                text.trim()
            ),
        )
    }
}
