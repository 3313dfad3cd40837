//! What can go wrong with one request, in classes that a caller acts on.

use std::time::Duration;

use serde_json::Value;

/// A field that the server named as the reason of a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldProblem {
    /// `spec.template.spec.containers[0].image`
    pub field: String,
    pub message: String,
}

/// Why a request to the cluster was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The object is wrong; sending it again changes nothing.
    #[error("{message}")]
    Invalid {
        message: String,
        fields: Vec<FieldProblem>,
    },
    #[error("{message}")]
    Conflict {
        message: String,
        fields: Vec<FieldProblem>,
    },
    #[error("{message}")]
    Forbidden { message: String },
    #[error("{message}")]
    Unauthorized { message: String },
    #[error("{message}")]
    NotFound { message: String },
    #[error("the cluster does not know kind `{kind}` of `{api_version}`")]
    UnknownKind { api_version: String, kind: String },
    #[error("the cluster asks to slow down: {message}")]
    TooManyRequests {
        message: String,
        retry_after: Option<Duration>,
    },
    #[error("the cluster answered {code}: {message}")]
    Server { code: u16, message: String },
    #[error("the cluster did not answer")]
    Unreachable {
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the cluster did not answer within {after:?}")]
    Timeout { after: Duration },
    #[error("cannot read the cluster's answer to {what}")]
    Unreadable {
        what: String,
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the object lacks {missing}")]
    Incomplete { missing: &'static str },
    /// Nothing was sent.
    #[error("another leads, or nobody knows; nothing is written")]
    Fenced,
}

impl CallError {
    /// Whether the same request may succeed later without any change to it.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::TooManyRequests { .. }
            | Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::Unreadable { .. } => true,
            Self::Server { code, .. } => *code >= 500,
            _ => false,
        }
    }

    /// One word for reports.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Invalid { .. } | Self::Incomplete { .. } => "Invalid",
            Self::Conflict { .. } => "Conflict",
            Self::Forbidden { .. } => "Forbidden",
            Self::Unauthorized { .. } => "Unauthorized",
            Self::NotFound { .. } => "NotFound",
            Self::UnknownKind { .. } => "UnknownKind",
            Self::TooManyRequests { .. } => "TooManyRequests",
            Self::Server { .. } => "ServerError",
            Self::Unreachable { .. } | Self::Timeout { .. } => "Unreachable",
            Self::Unreadable { .. } => "Unreadable",
            Self::Fenced => "Fenced",
        }
    }

    /// Returns the message with those of its sources.
    pub fn chain(&self) -> String {
        foreshore_model::chain(self)
    }

    /// Classifies an answer that is not 2xx by its code and `Status` body.
    pub(crate) fn of_answer(code: u16, retry_after: Option<Duration>, body: &[u8]) -> Self {
        let status: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let message = status["message"].as_str().map_or_else(
            || {
                String::from_utf8_lossy(&body[..body.len().min(500)])
                    .trim()
                    .to_owned()
            },
            str::to_owned,
        );
        let fields = || {
            let causes = status.pointer("/details/causes").and_then(Value::as_array);
            let causes = causes.map_or(&[][..], Vec::as_slice);
            causes
                .iter()
                .map(|cause| FieldProblem {
                    field: cause["field"].as_str().unwrap_or_default().to_owned(),
                    message: cause["message"].as_str().unwrap_or_default().to_owned(),
                })
                .collect()
        };
        match code {
            // The server's own answer to an apply with an unknown field is 500; trying again is no use.
            500 if message.contains("failed to create typed patch object") => Self::Invalid {
                message,
                fields: fields(),
            },
            400 | 405 | 406 | 413 | 415 | 422 => Self::Invalid {
                message,
                fields: fields(),
            },
            401 => Self::Unauthorized { message },
            403 => Self::Forbidden { message },
            404 | 410 => Self::NotFound { message },
            409 => Self::Conflict {
                message,
                fields: fields(),
            },
            429 => {
                let in_body = status
                    .pointer("/details/retryAfterSeconds")
                    .and_then(Value::as_u64);
                Self::TooManyRequests {
                    message,
                    retry_after: retry_after.or_else(|| in_body.map(Duration::from_secs)),
                }
            }
            _ => Self::Server { code, message },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(code: u16, body: &str, reason: &str, transient: bool) {
        let error = CallError::of_answer(code, None, body.as_bytes());
        assert_eq!(
            (error.reason(), error.is_transient()),
            (reason, transient),
            "{error:?}"
        );
    }

    #[test]
    fn answers_are_classed_by_what_to_do_next() {
        let status = r#"{"kind":"Status","message":"m","details":{"retryAfterSeconds":3,"causes":[{"field":"spec.x","message":"bad"}]}}"#;
        check(422, status, "Invalid", false);
        check(400, "not JSON at all", "Invalid", false);
        check(403, status, "Forbidden", false);
        check(401, status, "Unauthorized", false);
        check(404, status, "NotFound", false);
        check(409, status, "Conflict", false);
        check(429, status, "TooManyRequests", true);
        check(500, "", "ServerError", true);
        check(503, status, "ServerError", true);
    }

    #[test]
    fn an_unknown_field_is_invalid_although_the_server_says_500() {
        let body = r#"{"message":"failed to create typed patch object (a/b; /v1, Kind=Service): .spec.portz: field not declared in schema"}"#;
        check(500, body, "Invalid", false);
    }

    #[test]
    fn an_invalid_object_names_the_field() {
        let body = br#"{"message":"m","details":{"causes":[{"field":"spec.x","message":"bad"}]}}"#;
        let CallError::Invalid { fields, .. } = CallError::of_answer(422, None, body) else {
            panic!("class")
        };
        assert_eq!(
            fields,
            [FieldProblem {
                field: "spec.x".to_owned(),
                message: "bad".to_owned()
            }]
        );
    }

    #[test]
    fn the_header_says_better_than_the_body_when_to_come_back() {
        let body = br#"{"details":{"retryAfterSeconds":3}}"#;
        for (header, expected) in [(None, 3), (Some(Duration::from_secs(7)), 7)] {
            let CallError::TooManyRequests { retry_after, .. } =
                CallError::of_answer(429, header, body)
            else {
                panic!("class")
            };
            assert_eq!(retry_after, Some(Duration::from_secs(expected)));
        }
    }
}
