//! `release.yaml`: which artifact an environment is to run, and who decided so.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact::ArtifactId;
use crate::digest::Digest;
use crate::name::{EnvironmentName, ServiceName};
use crate::person::Actor;

/// The desired artifact of a service in an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseFile {
    pub service: ServiceName,
    pub environment: EnvironmentName,
    /// Grows by one with every release of this service here; never goes back.
    pub sequence: u64,
    pub artifact: Digest,
    pub artifact_id: ArtifactId,
    pub intent: Intent,
    pub actor: Actor,
    pub reason: String,
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The artifact that this one replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    /// People who agreed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approved_by: Vec<Actor>,
    /// Verdicts that the decision rested on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verdicts: Vec<Verdict>,
}

/// What the release was meant as; the flow is the same for all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Intent {
    /// A person named the artifact.
    Release,
    /// A person asked for the newest artifact of a branch.
    ReleaseBranch { branch: String },
    /// What another environment runs.
    Promote { from: EnvironmentName },
    /// Back to an earlier artifact.
    Rollback { from: Digest },
    /// A policy acted on the arrival of an artifact.
    AutoRelease { policy: String },
    /// A policy acted on the failure of a release.
    AutoRollback { policy: String, from: Digest },
}

impl Intent {
    /// The word of commit subjects.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Release | Self::ReleaseBranch { .. } => "release",
            Self::Promote { .. } => "promote",
            Self::Rollback { .. } => "rollback",
            Self::AutoRelease { .. } => "auto-release",
            Self::AutoRollback { .. } => "auto-rollback",
        }
    }

    /// Whether no person asked for it.
    pub fn is_automatic(&self) -> bool {
        matches!(self, Self::AutoRelease { .. } | Self::AutoRollback { .. })
    }

    /// Whether it brings an earlier artifact back.
    pub fn is_rollback(&self) -> bool {
        matches!(self, Self::Rollback { .. } | Self::AutoRollback { .. })
    }
}

/// The recorded result of a check, bound to an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    pub check: String,
    pub artifact: Digest,
    pub environment: EnvironmentName,
    /// Tree id of the manifests that were checked: a change of them voids the verdict.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tree: String,
    pub passed: bool,
    /// Nothing could be measured: nobody was reached, or the check cannot be run. Never a pass.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unknown: bool,
    /// The service asks that it holds before the next environment gets the artifact.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gate: bool,
    /// What was seen, in one line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    #[schemars(with = "String")]
    pub at: Timestamp,
}

impl Verdict {
    /// Whether the artifact was measured and found wanting in what its service asks for.
    pub fn is_breach(&self) -> bool {
        self.gate && !self.passed && !self.unknown
    }

    pub fn word(&self) -> &'static str {
        match (self.passed, self.unknown) {
            (true, _) => "passed",
            (false, true) => "could not be made",
            (false, false) => "failed",
        }
    }
}
