//! What becomes of source that is pushed to the embedded git host.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact::ArtifactId;
use crate::name::ServiceName;

/// One row of `GET /api/v1/builds`: a push, and what was made of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BuildRow {
    /// Grows with every push: `b7`.
    pub id: String,
    pub service: ServiceName,
    /// What was pushed: `refs/heads/main`, `refs/tags/v1.2.3`.
    pub reference: String,
    pub commit: String,
    /// Whose token pushed it.
    pub pushed_by: String,
    #[schemars(with = "String")]
    pub at: Timestamp,
    pub state: BuildState,
    /// What it left in the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<ArtifactId>,
    /// Why it failed, in one line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub problem: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub ended_at: Option<Timestamp>,
}

/// How far a build has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BuildState {
    Waiting,
    Running,
    Done,
    Failed,
}

impl BuildState {
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    pub fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Failed)
    }
}

/// `GET /api/v1/builds/<id>/log`: what the build said, its end if it said very much.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BuildLog {
    pub build: BuildRow,
    pub text: String,
    /// Whether the beginning was left out.
    pub cut: bool,
}
