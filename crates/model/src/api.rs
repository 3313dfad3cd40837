//! What command line, server and agent say to each other over HTTP.
//!
//! Every path starts with `/api/v1`; an answer that is not 2xx carries a [`Problem`].

mod builds;
mod changes;
pub mod load;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact::ArtifactId;
use crate::config::{Hold, Request};
use crate::digest::Digest;
use crate::name::{EnvironmentName, ServiceName, SiteName};
use crate::operations::Operations;
use crate::outcome::{Outcome, Phase};
use crate::person::Actor;
use crate::release::{ReleaseFile, Verdict};

pub use builds::{BuildLog, BuildRow, BuildState};
pub use changes::{
    ChangeAnswer, FreezeRequest, FreezeRow, OperationsAnswer, OperationsChange, OperationsRequest,
    PolicyRow, RemovalsRequest, RetireAnswer, RetireRequest,
};

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// What artifacts are signed with when they arrive, `ed25519:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_key: Option<String>,
}

/// `GET /api/v1/secrets/<environment>/<service>`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SealedSecrets {
    /// Public keys (`age1…`) that a value has to be sealed for.
    pub recipients: Vec<String>,
    /// Variables that have a sealed value.
    pub names: Vec<String>,
}

/// `PUT /api/v1/secrets/<environment>/<service>/<name>`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretRequest {
    /// The value, sealed by whoever sends it.
    pub sealed: String,
    /// Why, for the audit trail.
    #[serde(default)]
    pub reason: String,
}

/// What became of a change of secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretChange {
    pub commit: String,
    /// What was done, in words.
    pub subject: String,
}

/// Which artifact is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproveRequest {
    #[serde(default)]
    pub reason: String,
}

/// `PUT` and `DELETE /api/v1/holds/<environment>/<service>`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldRequest {
    pub reason: String,
}

/// One row of `GET /api/v1/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceStatus {
    pub service: ServiceName,
    pub environment: EnvironmentName,
    pub release: ReleaseFile,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// Sites of the environment, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sites: Vec<SiteName>,
    /// The newest outcome of each site, empty until an agent has reported.
    pub outcomes: Vec<Outcome>,
    /// What people set without a build: replicas, bounds, floors, pause.
    #[serde(default)]
    pub operations: Operations,
}

impl ServiceStatus {
    /// Whether an agent has yet to carry out what `operations` says.
    pub fn is_operation_pending(&self) -> bool {
        let current = self
            .outcomes
            .iter()
            .filter(|outcome| outcome.sequence == self.release.sequence);
        let mut carried_out = current.map(|outcome| outcome.operations).peekable();
        if carried_out.peek().is_none() {
            return self.operations.number > 0;
        }
        carried_out.any(|number| number < self.operations.number)
    }

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// Builds of pushed source that wait or go on, and each service's newest if it failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub builds: Vec<BuildRow>,
    /// Where the webhook stands, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookState>,
}

/// How far the webhook has been told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WebhookState {
    /// Changes it has taken since the server started.
    pub told: u64,
    /// Changes it refused for good since the server started.
    pub given_up: u64,
    /// Why the newest attempt failed; none if it went well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// When an agent last spoke.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentSeen {
    pub environment: EnvironmentName,
    #[schemars(with = "String")]
    pub at: Timestamp,
}

/// One row of `GET /api/v1/artifacts?service=<name>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ArtifactSummary {
    pub id: ArtifactId,
    pub digest: Digest,
    pub service: ServiceName,
    pub branch: String,
    pub commit: String,
    pub author: String,
    pub message: String,
    #[schemars(with = "String")]
    pub committed_at: Timestamp,
}

/// `POST /api/v1/arrivals`: the artifact is in the registry, let policies act on it now.
///
/// The server also notices arrivals by itself; asking makes the answer certain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArrivalRequest {
    pub service: ServiceName,
    pub digest: Digest,
}

/// What policies made of an arrival.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ArrivalAnswer {
    pub released: Vec<ReleaseFile>,
    /// Environments that automation left alone, and why.
    pub withheld: Vec<Withheld>,
}

/// Why automation did not act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Withheld {
    pub environment: EnvironmentName,
    pub reason: String,
}

/// `POST /api/v1/tokens`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    pub name: String,
    /// The one service whose images and artifacts it may push.
    pub push: ServiceName,
}

/// The only moment at which a token is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenAnswer {
    pub name: String,
    pub token: String,
}

/// `DELETE /api/v1/tokens/<name>`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RevokeAnswer {
    pub revoked: usize,
}

/// `GET /api/v1/tip?after=<commit>&timeout=<seconds>`: answers when the tip is another, or the time is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tip {
    pub commit: String,
}

/// One release as the history of a service shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryEntry {
    pub commit: String,
    #[schemars(with = "String")]
    pub at: Timestamp,
    pub actor: String,
    pub subject: String,
    pub reason: String,
    pub sequence: u64,
    pub artifact_id: ArtifactId,
}

/// `POST /api/v1/explain` and `/api/v1/diff`: what a release would meet, and change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainRequest {
    pub service: ServiceName,
    pub environment: EnvironmentName,
    pub selection: Selection,
    /// Judge it as a rollback.
    #[serde(default)]
    pub rollback: bool,
}

/// Whether a release is allowed, term by term.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    pub service: ServiceName,
    pub environment: EnvironmentName,
    pub artifact: Digest,
    pub artifact_id: ArtifactId,
    /// No term stands against it.
    pub allowed: bool,
    /// People who must still agree after that.
    pub approvals: u32,
    pub terms: Vec<TermRow>,
}

/// One condition of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TermRow {
    pub name: String,
    pub holds: bool,
    pub words: String,
}

/// What differs between two sets of released files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// What is compared, in words: `prod number 3`, `artifact main-…`.
    pub from: String,
    pub to: String,
    pub files: Vec<FileDifference>,
}

impl Difference {
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

/// One file that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileDifference {
    pub path: String,
    /// Unified, without the two lines that name the file.
    pub text: String,
}

/// `GET /api/v1/requests`: what waits for approval; `?after=<version>` waits for a change of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OpenRequests {
    pub version: String,
    pub requests: Vec<Request>,
}

/// `GET /api/v1/requests/<id>`: everything a person needs to agree or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequestDetail {
    pub request: Request,
    /// Approvals that are still missing.
    pub needed: u32,
    pub explanation: Explanation,
    pub difference: Difference,
    /// What each cluster's API server said about the objects, once an agent has asked it.
    pub previews: Vec<SitePreview>,
}

/// What a cluster would make of a request: the agent's server-side dry run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SitePreview {
    pub request: String,
    pub environment: EnvironmentName,
    pub site: SiteName,
    /// Digest of the artifact it was made for.
    pub artifact: Digest,
    /// `created`, `changed`, `unchanged`, `removed`, or `refused` with the reason.
    pub objects: Vec<ObjectPreview>,
    #[schemars(with = "String")]
    pub at: Timestamp,
}

/// What would become of one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectPreview {
    pub object: String,
    pub effect: String,
    /// Fields that change, or why it is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

/// One release with its circumstances: `GET /api/v1/describe/release/<environment>/<service>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseDetail {
    pub commit: String,
    pub release: ReleaseFile,
    /// Whether the commit's signature is good; none if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<bool>,
    /// What is known of it in each site, for the release that is the newest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outcomes: Vec<Outcome>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verdicts: Vec<Verdict>,
}

/// One commit of `GET /api/v1/audit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditEntry {
    pub commit: String,
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Who wanted it; the author of the commit where no trailer says so.
    pub actor: String,
    pub subject: String,
    /// The trailers of the message, in order.
    pub trailers: Vec<(String, String)>,
    /// Made by a writer, not by hand.
    pub by_writer: bool,
    /// Whether the signature is good; none if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<bool>,
}
