//! Names of things: parsed once at the edge, then passed as types.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The most bytes a DNS label may have (RFC 1035).
const LABEL_BYTES_MAX: usize = 63;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("{noun} is empty")]
    Empty { noun: &'static str },
    #[error("{noun} `{name}` has {length} bytes, at most {LABEL_BYTES_MAX} are allowed")]
    TooLong {
        noun: &'static str,
        name: String,
        length: usize,
    },
    #[error(
        "{noun} `{name}` is not a DNS label: `{found}` at position {position} is not allowed \
         (lower-case letters, digits and `-`, starting with a letter, ending with a letter or digit)"
    )]
    NotALabel {
        noun: &'static str,
        name: String,
        found: char,
        position: usize,
    },
}

pub(crate) fn check_label(noun: &'static str, name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty { noun });
    }
    let last = name.chars().count() - 1;
    for (position, found) in name.chars().enumerate() {
        let letter = found.is_ascii_lowercase();
        let inner = letter || found.is_ascii_digit();
        let allowed = match position {
            0 => letter,
            _ if position == last => inner,
            _ => inner || found == '-',
        };
        if !allowed {
            let name = name.chars().take(LABEL_BYTES_MAX + 1).collect();
            return Err(NameError::NotALabel {
                noun,
                name,
                found,
                position: position + 1,
            });
        }
    }
    if name.len() > LABEL_BYTES_MAX {
        return Err(NameError::TooLong {
            noun,
            name: name.to_owned(),
            length: name.len(),
        });
    }
    Ok(())
}

macro_rules! label {
    ($(#[$doc:meta])* $name:ident, $noun:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
                let name = name.into();
                check_label($noun, &name)?;
                Ok(Self(name))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(name: &str) -> Result<Self, NameError> {
                Self::new(name)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(name: String) -> Result<Self, NameError> {
                Self::new(name)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$",
                    "maxLength": LABEL_BYTES_MAX,
                })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

label!(
    /// What a team owns and deploys.
    ServiceName,
    "service name"
);
label!(
    /// A named target: one or more clusters, a namespace, rules.
    EnvironmentName,
    "environment name"
);
label!(
    /// One cluster of an environment.
    SiteName,
    "site name"
);
label!(
    /// A rule in the config repository.
    PolicyName,
    "policy name"
);
label!(
    /// A rule about time in the config repository.
    FreezeName,
    "freeze name"
);
label!(
    /// A machine that runs pods.
    NodeName,
    "node name"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: Result<&str, &str>) {
        let parsed = ServiceName::new(name);
        match expected {
            Ok(text) => assert_eq!(parsed.expect("is a name").as_str(), text),
            Err(part) => {
                let message = parsed.expect_err("is not a name").to_string();
                assert!(message.contains(part), "`{part}` is not in: {message}");
            }
        }
    }

    #[test]
    fn labels_are_lower_case_and_start_with_a_letter() {
        check("web", Ok("web"));
        check("web-2", Ok("web-2"));
        check("", Err("is empty"));
        check("Web", Err("`W` at position 1"));
        check("2web", Err("`2` at position 1"));
        check("web-", Err("`-` at position 4"));
        check("we_b", Err("`_` at position 3"));
        check("../web", Err("`.` at position 1"));
    }

    #[test]
    fn a_label_has_63_bytes_at_most() {
        check(&"a".repeat(63), Ok(&"a".repeat(63)));
        check(&"a".repeat(64), Err("has 64 bytes"));
    }

    #[test]
    fn a_name_cannot_enter_through_serde_unchecked() {
        assert!(serde_json::from_str::<EnvironmentName>("\"Prod\"").is_err());
        assert!(serde_json::from_str::<EnvironmentName>("\"prod\"").is_ok());
    }
}
