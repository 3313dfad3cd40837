//! Files of the config repository that people and the server write.
//!
//! | Path | Type |
//! |---|---|
//! | `environments/<env>/environment.yaml` | [`Environment`] |
//! | `environments/<env>/<service>/release.yaml` | [`crate::ReleaseFile`] |
//! | `environments/<env>/<service>/operations.yaml` | [`Operations`] |
//! | `environments/<env>/<service>/manifests/*.yaml` | the released bytes |
//! | `secrets/<env>/<service>/<NAME>.age` | a value that only the agent can open |
//! | `environments/<env>/<service>/removals.yaml` | [`Removals`] |
//! | `retired/<env>/<service>.yaml` | [`Tombstone`] |
//! | `policies/<name>.yaml` | [`Policy`] |
//! | `freezes/<name>.yaml` | [`Freeze`] |
//! | `holds/<env>/<service>.yaml` | [`Hold`] |
//! | `request.yaml` on a branch `requests/<id>` | [`Request`] |

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact::ArtifactId;
use crate::digest::Digest;
use crate::name::{EnvironmentName, ServiceName, SiteName};
use crate::person::Actor;

pub use crate::freeze::Freeze;
pub use crate::operations::Operations;

/// The branch that says what runs.
pub const MAIN_BRANCH: &str = "main";
/// The side ref where outcomes are recorded.
pub const OUTCOMES_REF: &str = "refs/foreshore/outcomes";
/// Prefix of the branches that hold approval requests.
pub const REQUESTS_PREFIX: &str = "requests/";

/// A named target of releases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    pub name: EnvironmentName,
    /// Namespace that its services live in.
    pub namespace: String,
    /// The environment whose releases are promoted into this one; none for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotes_from: Option<EnvironmentName>,
    /// Clusters that carry it.
    #[serde(default = "one_local_site")]
    pub sites: Vec<SiteName>,
    /// Who must agree before a release is committed.
    #[serde(default, skip_serializing_if = "Approvals::is_default")]
    pub approvals: Approvals,
    /// Named like production in colour and confirmation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub production: bool,
    /// Whether its sites take a release at once or one after the other.
    #[serde(default, skip_serializing_if = "SiteOrder::is_default")]
    pub site_order: SiteOrder,
    /// What the agent does about changes that others make to its objects.
    #[serde(default, skip_serializing_if = "Drift::is_default")]
    pub drift: Drift,
    /// Account in the namespace that the agent acts as; it can do no more than that account may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
    /// Public keys (`age1…`) of the agents that may open its secrets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<String>,
}

/// How the sites of an environment follow each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SiteOrder {
    #[default]
    Parallel,
    /// A site waits until the one before it in the list is healthy with the same release.
    InOrder,
}

impl SiteOrder {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What becomes of changes that others make to released objects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Drift {
    /// They are told and put back.
    #[default]
    Heal,
    /// They are told and left.
    Report,
}

impl Drift {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

fn one_local_site() -> Vec<SiteName> {
    vec![SiteName::new("local").expect("`local` is a DNS label")]
}

/// How many people other than the one who asks must approve, and who may.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approvals {
    pub count: u32,
    /// Login names that may approve; empty means every person with the right to release.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
}

impl Approvals {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A rule that triggers or restricts releases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Policy {
    /// An artifact of a matching branch is released as it arrives.
    AutoRelease {
        environment: EnvironmentName,
        /// Branch name, `*` stands for any run of characters.
        branch: String,
        /// The services it is for; empty means all.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        services: Vec<ServiceName>,
    },
    /// Only artifacts of matching branches may enter the environment.
    BranchRestriction {
        environment: EnvironmentName,
        /// Branch name as a whole, `*` stands for any run of characters.
        branch: String,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        services: Vec<ServiceName>,
    },
    /// An artifact built from a matching tag is released as it arrives.
    AutoReleaseTag {
        environment: EnvironmentName,
        /// Tag name as a whole, `*` stands for any run of characters.
        tag: String,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        services: Vec<ServiceName>,
    },
    /// Only artifacts that passed these checks where they come from may enter the environment.
    RequireVerdicts {
        environment: EnvironmentName,
        checks: Vec<String>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        services: Vec<ServiceName>,
    },
    /// Only artifacts that have been healthy this long where they come from may enter the environment.
    Soak {
        environment: EnvironmentName,
        /// `45m`, `24h`.
        #[schemars(with = "String")]
        time: SignedDuration,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        services: Vec<ServiceName>,
    },
    /// A release that fails is replaced by the last artifact that was healthy there.
    AutoRollback {
        environment: EnvironmentName,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        services: Vec<ServiceName>,
    },
}

impl Policy {
    pub fn environment(&self) -> &EnvironmentName {
        match self {
            Self::AutoRelease { environment, .. }
            | Self::BranchRestriction { environment, .. }
            | Self::AutoReleaseTag { environment, .. }
            | Self::RequireVerdicts { environment, .. }
            | Self::Soak { environment, .. }
            | Self::AutoRollback { environment, .. } => environment,
        }
    }

    /// The services it is for; empty means all.
    pub fn services(&self) -> &[ServiceName] {
        match self {
            Self::AutoRelease { services, .. }
            | Self::BranchRestriction { services, .. }
            | Self::AutoReleaseTag { services, .. }
            | Self::RequireVerdicts { services, .. }
            | Self::Soak { services, .. }
            | Self::AutoRollback { services, .. } => services,
        }
    }

    /// Whether it is about this service in this environment.
    pub fn is_about(&self, environment: &EnvironmentName, service: &ServiceName) -> bool {
        self.environment() == environment
            && (self.services().is_empty() || self.services().contains(service))
    }

    /// The word its file has under `kind`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::AutoRelease { .. } => "auto-release",
            Self::BranchRestriction { .. } => "branch-restriction",
            Self::AutoReleaseTag { .. } => "auto-release-tag",
            Self::RequireVerdicts { .. } => "require-verdicts",
            Self::Soak { .. } => "soak",
            Self::AutoRollback { .. } => "auto-rollback",
        }
    }
}

/// A manual pin that pauses automation for one service in one environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    pub actor: Actor,
    pub reason: String,
    #[schemars(with = "String")]
    pub at: Timestamp,
}

/// The end of a service in an environment: its folder is gone on purpose.
///
/// A folder that is missing without one is a mistake, and nothing is removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tombstone {
    /// Sequence number of the last release; the next one here is higher.
    pub sequence: u64,
    /// The artifact that ran last.
    pub artifact: Digest,
    pub actor: Actor,
    pub reason: String,
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Objects that keep data and may go all the same: `PersistentVolumeClaim/data`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confirmed: Vec<String>,
}

/// `removals.yaml` beside a release: objects that it may take away although they keep something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Removals {
    /// The one release it is about.
    pub sequence: u64,
    /// `PersistentVolumeClaim/data`; `*` alone confirms a large number of ordinary ones.
    pub objects: Vec<String>,
    pub actor: Actor,
    pub reason: String,
    #[schemars(with = "String")]
    pub at: Timestamp,
}

/// A release that waits for approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub id: String,
    pub service: ServiceName,
    pub environment: EnvironmentName,
    pub artifact: Digest,
    pub artifact_id: ArtifactId,
    /// The environment it was promoted from, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<EnvironmentName>,
    /// What the environment held when the request was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    pub requested_by: Actor,
    pub reason: String,
    #[schemars(with = "String")]
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Approval>,
}

/// One person's agreement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    pub actor: Actor,
    #[schemars(with = "String")]
    pub at: Timestamp,
}
