//! The name of a secret: the environment variable that holds its value.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

const BYTES_MAX: usize = 128;

/// An environment variable, `DB_PASSWORD`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretName(String);

/// Why a text is no name of a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no name of a secret: letters, digits and `_`, not a digit first, at most {BYTES_MAX} of them"
)]
pub struct SecretNameError {
    text: String,
}

impl SecretName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SecretName {
    type Err = SecretNameError;

    fn from_str(text: &str) -> Result<Self, SecretNameError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let starts = |c: char| c.is_ascii_alphabetic() || c == '_';
        if text.len() <= BYTES_MAX && text.starts_with(starts) && text.chars().all(plain) {
            return Ok(Self(text.to_owned()));
        }
        Err(SecretNameError {
            text: text.chars().take(BYTES_MAX).collect(),
        })
    }
}

impl TryFrom<String> for SecretName {
    type Error = SecretNameError;

    fn try_from(text: String) -> Result<Self, SecretNameError> {
        text.parse()
    }
}

impl From<SecretName> for String {
    fn from(name: SecretName) -> Self {
        name.0
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_variable_and_never_a_path() {
        for name in ["DB_PASSWORD", "_x", "a1"] {
            assert!(name.parse::<SecretName>().is_ok(), "{name}");
        }
        for name in ["", "1A", "A-B", "../x", "A.age", "Ä", &"A".repeat(129)] {
            assert!(name.parse::<SecretName>().is_err(), "{name}");
        }
    }
}
