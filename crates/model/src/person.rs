//! Who did something.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The person or machine behind a request, as the audit trail names it.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    /// The login name, unique in this installation.
    pub name: String,
    /// The address that git commits carry.
    pub email: String,
}

impl Actor {
    pub fn new(name: impl Into<String>, email: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            email: email.into(),
        }
    }

    /// The actor behind a decision that no person asked for, like an auto-release.
    pub fn automation() -> Self {
        Self::new("foreshore", "foreshore@foreshore.local")
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} <{}>", self.name, self.email)
    }
}
