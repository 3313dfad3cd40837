//! JSON bodies, with mistakes told in our words.

use axum::extract::{FromRequest, Request};
use foreshore_model::ExitCode;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// A request's body, read as JSON.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let usage = |what: String| Problem::new(ExitCode::Usage, "bad-request", what);
        let bytes = bytes::Bytes::from_request(request, state)
            .await
            .map_err(|rejection| {
                usage(format!(
                    "cannot read the request's body: {}",
                    rejection.body_text()
                ))
            })?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            usage(format!(
                "the request's body is wrong at line {} column {}: {error}",
                error.line(),
                error.column()
            ))
        })
    }
}
