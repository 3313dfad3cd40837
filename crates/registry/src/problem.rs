//! Refusals in the words of the distribution specification.

use axum::Json;
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::registry::RegistryError;

/// An answer that is no success.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    message: String,
    challenge: bool,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            challenge: false,
        }
    }

    pub(crate) fn unauthenticated() -> Self {
        let problem = Self::new(
            StatusCode::UNAUTHORIZED,
            "UNAUTHORIZED",
            "log in with a user name and a token",
        );
        Self {
            challenge: true,
            ..problem
        }
    }

    pub(crate) fn forbidden(repository: &str) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "DENIED",
            format!("this token has no such right on `{repository}`"),
        )
    }

    pub(crate) fn no_route(path: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "NAME_INVALID",
            format!("`{path}` is no path of the distribution protocol"),
        )
    }
}

impl From<RegistryError> for Problem {
    fn from(error: RegistryError) -> Self {
        let (status, code) = match &error {
            RegistryError::NoRepository { .. } => (StatusCode::NOT_FOUND, "NAME_UNKNOWN"),
            RegistryError::NoBlob { .. } => (StatusCode::NOT_FOUND, "BLOB_UNKNOWN"),
            RegistryError::NoManifest { .. } => (StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN"),
            RegistryError::NoUpload { .. } => (StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN"),
            RegistryError::Parts { .. } => (StatusCode::BAD_REQUEST, "MANIFEST_BLOB_UNKNOWN"),
            RegistryError::Reserved { .. } => (StatusCode::FORBIDDEN, "DENIED"),
            RegistryError::Manifest { .. } => (StatusCode::BAD_REQUEST, "MANIFEST_INVALID"),
            RegistryError::WrongDigest { .. } => (StatusCode::BAD_REQUEST, "DIGEST_INVALID"),
            RegistryError::Interrupted => (StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID"),
            RegistryError::Range { .. } => {
                (StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID")
            }
            RegistryError::Busy => (StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS"),
            RegistryError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID"),
            RegistryError::Immutable { .. } | RegistryError::InUse { .. } => {
                (StatusCode::CONFLICT, "DENIED")
            }
            RegistryError::Blob(blob) if blob.is_full_disk() => {
                (StatusCode::INSUFFICIENT_STORAGE, "UNAVAILABLE")
            }
            RegistryError::Blob(_) | RegistryError::Journal(_) => {
                // The caller cannot help it, so the details stay here.
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "registry request failed"
                );
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                return Self::new(
                    status,
                    "UNKNOWN",
                    "the registry could not read or write its disk",
                );
            }
        };
        Self::new(status, code, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({ "errors": [{ "code": self.code, "message": self.message }] });
        let mut response = (self.status, Json(body)).into_response();
        if self.challenge {
            let value = HeaderValue::from_static("Basic realm=\"foreshore\", charset=\"UTF-8\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, value);
        }
        response
    }
}
