//! What command line, server and agent say to each other over HTTP.
//!
//! Every path starts with `/api/v1`; an answer that is not 2xx carries a [`Problem`].

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::artifact::ArtifactId;
use crate::config::{Hold, Request};
use crate::digest::Digest;
use crate::name::{EnvironmentName, ServiceName};
use crate::outcome::{Outcome, Phase};
use crate::person::Actor;
use crate::release::ReleaseFile;

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The exit code a command ends with.
    pub code: u8,
    /// Stable word for programs: `not-found`, `needs-approval`.
    pub kind: String,
    pub message: String,
    /// What to type next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
}

/// `GET /api/v1/info`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    pub version: String,
    /// `host:port` that image references carry.
    pub registry: String,
    /// Who the caller is.
    pub actor: Option<Actor>,
    pub environments: Vec<EnvironmentName>,
    /// `http://host:port` where ingress answers, if this process knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<String>,
}

/// Which artifact is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Selection {
    /// By its id.
    Id(ArtifactId),
    Digest(Digest),
    /// The newest of a branch.
    Branch(String),
    /// What another environment runs; none means the environment's own promotion source.
    From(Option<EnvironmentName>),
    /// The last artifact before the present one that was healthy here.
    LastVerified,
}

/// `POST /api/v1/releases`: release, promote and rollback are one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseRequest {
    pub service: ServiceName,
    pub environment: EnvironmentName,
    pub selection: Selection,
    #[serde(default)]
    pub reason: String,
    /// The same key is carried out once, however often it arrives.
    pub idempotency_key: String,
    /// Refuse unless the environment holds this now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Digest>,
    /// Set a hold with the release, as a rollback does.
    #[serde(default)]
    pub hold: bool,
    #[serde(default)]
    pub dry_run: bool,
}

/// What became of a release request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum ReleaseAnswer {
    /// It is committed and durable.
    Committed {
        commit: String,
        release: ReleaseFile,
    },
    /// The environment already holds it.
    Unchanged { release: ReleaseFile },
    /// It waits for approval.
    Requested { request: Request, needed: u32 },
    /// Dry run: what would be committed.
    Steps { steps: Vec<String> },
}

/// `POST /api/v1/requests/<id>/approve`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApproveRequest {
    #[serde(default)]
    pub reason: String,
}

/// `PUT` and `DELETE /api/v1/holds/<environment>/<service>`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldRequest {
    pub reason: String,
}

/// One row of `GET /api/v1/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceStatus {
    pub service: ServiceName,
    pub environment: EnvironmentName,
    pub release: ReleaseFile,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// The newest outcome of each site, empty until an agent has reported.
    pub outcomes: Vec<Outcome>,
}

impl ServiceStatus {
    /// The word for the worst of all sites; `waiting` until an agent has reported this release.
    pub fn health(&self) -> &'static str {
        let badness = |phase: Phase| match phase {
            Phase::Failed => 5,
            Phase::Degraded => 4,
            Phase::Applying | Phase::Progressing => 3,
            Phase::Superseded => 2,
            Phase::Retired => 1,
            Phase::Healthy => 0,
        };
        self.outcomes
            .iter()
            .filter(|outcome| outcome.sequence == self.release.sequence)
            .map(|outcome| outcome.phase)
            .max_by_key(|phase| badness(*phase))
            .map_or("waiting", Phase::word)
    }
}

/// `GET /api/v1/status`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Changes with every change of what is below; `?after=<version>` waits for that.
    pub version: String,
    /// Tip of the config repository.
    pub commit: String,
    pub services: Vec<ServiceStatus>,
    pub requests: Vec<Request>,
    /// When an agent was last heard, by environment.
    #[serde(default)]
    pub agents: Vec<AgentSeen>,
}

/// When an agent last spoke.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentSeen {
    pub environment: EnvironmentName,
    pub at: Timestamp,
}

/// One row of `GET /api/v1/artifacts?service=<name>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactSummary {
    pub id: ArtifactId,
    pub digest: Digest,
    pub service: ServiceName,
    pub branch: String,
    pub commit: String,
    pub author: String,
    pub message: String,
    pub committed_at: Timestamp,
}

/// `POST /api/v1/arrivals`: the artifact is in the registry, let policies act on it now.
///
/// The server also notices arrivals by itself; asking makes the answer certain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArrivalRequest {
    pub service: ServiceName,
    pub digest: Digest,
}

/// What policies made of an arrival.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrivalAnswer {
    pub released: Vec<ReleaseFile>,
    /// Environments that automation left alone, and why.
    pub withheld: Vec<Withheld>,
}

/// Why automation did not act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withheld {
    pub environment: EnvironmentName,
    pub reason: String,
}

/// `POST /api/v1/tokens`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    pub name: String,
    /// The one service whose images and artifacts it may push.
    pub push: ServiceName,
}

/// The only moment at which a token is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenAnswer {
    pub name: String,
    pub token: String,
}

/// `DELETE /api/v1/tokens/<name>`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokeAnswer {
    pub revoked: usize,
}

/// `GET /api/v1/tip?after=<commit>&timeout=<seconds>`: answers when the tip is another, or the time is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tip {
    pub commit: String,
}

/// One release as the history of a service shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    pub commit: String,
    pub at: Timestamp,
    pub actor: String,
    pub subject: String,
    pub reason: String,
    pub sequence: u64,
    pub artifact_id: ArtifactId,
}
