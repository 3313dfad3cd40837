//! The one place that turns what went wrong into an HTTP answer.

use std::error::Error;

use axum::Json;
use axum::response::{IntoResponse, Response};
use foreshore_model::api::Problem as Body;
use foreshore_model::{ExitCode, chain};
use http::{HeaderValue, StatusCode, header};

/// Why a request was not carried out, with the HTTP status it is sent under.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    body: Body,
}

impl Problem {
    pub(crate) fn new(code: ExitCode, kind: &str, message: impl Into<String>) -> Self {
        let status = match code {
            ExitCode::Usage => StatusCode::BAD_REQUEST,
            ExitCode::Refused => StatusCode::FORBIDDEN,
            ExitCode::Unreachable => StatusCode::UNAUTHORIZED,
            ExitCode::Conflict => StatusCode::CONFLICT,
            ExitCode::NotFound => StatusCode::NOT_FOUND,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self {
            status,
            body: Body {
                code: code.code(),
                kind: kind.to_owned(),
                message: message.into(),
                hints: Vec::new(),
            },
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.body.hints.push(hint.into());
        self
    }

    pub(crate) fn hints(mut self, hints: Vec<String>) -> Self {
        self.body.hints.extend(hints);
        self
    }

    /// Whether a rule stood against it, as opposed to something having failed.
    pub(crate) fn is_refusal(&self) -> bool {
        self.body.kind != "internal"
    }

    pub(crate) fn message(&self) -> &str {
        &self.body.message
    }

    /// Something of ours failed; it is logged here, once, and told without its insides.
    pub(crate) fn internal(doing: &str, error: &(dyn Error + 'static)) -> Self {
        tracing::error!(error, doing, "request failed");
        let text = format!("{doing}: {}", chain(error));
        Self::new(ExitCode::Failed, "internal", text)
    }

    /// The caller is nobody we know.
    pub(crate) fn unknown_caller() -> Self {
        Self::new(
            ExitCode::Unreachable,
            "login-needed",
            "the token is missing or not valid",
        )
        .hint("set FORESHORE_TOKEN, or run the command where `foreshore up` was run")
    }

    /// The caller is known but may not do this.
    pub(crate) fn forbidden(name: &str, what: &str) -> Self {
        let mut problem = Self::new(
            ExitCode::Refused,
            "no-permission",
            format!("`{name}` may not {what}"),
        );
        problem.status = StatusCode::FORBIDDEN;
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let login = self.status == StatusCode::UNAUTHORIZED;
        let mut response = (self.status, Json(self.body)).into_response();
        if login {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
