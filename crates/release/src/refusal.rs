//! Why a wish was not granted.

use std::fmt;

use foreshore_model::ExitCode;

/// A decision against, in words, with what to do instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub code: ExitCode,
    /// Stable word for programs.
    pub kind: &'static str,
    pub message: String,
    pub hints: Vec<String>,
}

impl Refusal {
    fn new(code: ExitCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            kind,
            message: message.into(),
            hints: Vec::new(),
        }
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ExitCode::NotFound, "not-found", message)
    }

    pub fn by_policy(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Refused, "refused-by-policy", message)
    }

    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Conflict, "conflict", message)
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Usage, "usage", message)
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
