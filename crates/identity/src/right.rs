//! What a caller may do.

use std::fmt;
use std::str::FromStr;

use foreshore_model::{Actor, ServiceName};

/// Somebody whose token was recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    pub actor: Actor,
    pub rights: Vec<Right>,
}

impl Principal {
    pub fn may(&self, right: &Right) -> bool {
        self.rights.contains(right)
    }

    /// Whether the caller may push artifacts of `service`.
    pub fn may_push(&self, service: &ServiceName) -> bool {
        self.rights
            .iter()
            .any(|right| matches!(right, Right::Push(own) if own == service))
            || self.may(&Right::PushAny)
    }
}

/// One thing a token allows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Read status, artifacts and the config repository.
    Read,
    /// Release, promote, roll back, hold.
    Release,
    /// Approve what somebody else requested.
    Approve,
    /// Push images and artifacts of one service: all that CI can do.
    Push(ServiceName),
    /// Push images and artifacts of any service.
    PushAny,
    /// Report what became of releases.
    Report,
    /// Issue and revoke tokens.
    Administer,
}

/// A stored right that this version does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a right")]
pub struct UnknownRight(String);

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read => f.write_str("read"),
            Self::Release => f.write_str("release"),
            Self::Approve => f.write_str("approve"),
            Self::Push(service) => write!(f, "push:{service}"),
            Self::PushAny => f.write_str("push"),
            Self::Report => f.write_str("report"),
            Self::Administer => f.write_str("administer"),
        }
    }
}

impl FromStr for Right {
    type Err = UnknownRight;

    fn from_str(text: &str) -> Result<Self, UnknownRight> {
        let unknown = || UnknownRight(text.to_owned());
        Ok(match text {
            "read" => Self::Read,
            "release" => Self::Release,
            "approve" => Self::Approve,
            "push" => Self::PushAny,
            "report" => Self::Report,
            "administer" => Self::Administer,
            _ => {
                let service = text.strip_prefix("push:").ok_or_else(unknown)?;
                Self::Push(service.parse().map_err(|_| unknown())?)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_right_reads_back_as_written() {
        let web: ServiceName = "web".parse().unwrap();
        for right in [
            Right::Read,
            Right::Release,
            Right::Approve,
            Right::Push(web),
            Right::PushAny,
            Right::Report,
            Right::Administer,
        ] {
            assert_eq!(right.to_string().parse::<Right>(), Ok(right));
        }
        assert!("push:../etc".parse::<Right>().is_err());
        assert!("root".parse::<Right>().is_err());
    }

    #[test]
    fn a_ci_token_pushes_its_own_service_and_nothing_else() {
        let ci = Principal {
            actor: Actor::new("ci", "ci@foreshore.local"),
            rights: vec![Right::Push("web".parse().unwrap())],
        };
        assert!(ci.may_push(&"web".parse().unwrap()));
        assert!(!ci.may_push(&"api".parse().unwrap()));
        assert!(!ci.may(&Right::Release) && !ci.may(&Right::Read) && !ci.may(&Right::Approve));
    }
}
