//! What became of a release in a cluster, as the agent reports it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::name::{EnvironmentName, ServiceName, SiteName};
use crate::release::Verdict;

/// How far one release has come in one site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    pub environment: EnvironmentName,
    pub site: SiteName,
    pub service: ServiceName,
    /// Sequence number of the release it is about.
    pub sequence: u64,
    pub artifact: Digest,
    /// Commit of the config repository that the agent worked from.
    pub commit: String,
    pub phase: Phase,
    /// Why it is in this phase, most important first; at most three.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Number of the operations that are carried out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub operations: u64,
    /// What its checks found, once they have run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verdicts: Vec<Verdict>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The stations of a release in a cluster.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Being checked by server-side dry-run or written.
    Applying,
    /// Written; the agent waits for it to become healthy.
    Progressing,
    Healthy,
    /// Will not become healthy without a new release.
    Failed,
    /// A newer release took its place before it was healthy.
    Superseded,
    /// Was healthy, is not now.
    Degraded,
    /// Removed on purpose.
    Retired,
}

impl Phase {
    /// Whether the agent will say nothing more about this release by itself.
    pub fn is_final(self) -> bool {
        matches!(
            self,
            Self::Healthy | Self::Failed | Self::Superseded | Self::Retired
        )
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Applying => "applying",
            Self::Progressing => "progressing",
            Self::Healthy => "healthy",
            Self::Failed => "failed",
            Self::Superseded => "superseded",
            Self::Degraded => "degraded",
            Self::Retired => "retired",
        }
    }
}

/// One reason, with what a person needs to act on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cause {
    /// `Deployment/web`, `Pod/web-7c4-x2x`.
    pub object: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// One word: `CrashLoopBackOff`.
    pub reason: String,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The last lines of its log.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
}
