//! Files of the config repository that people and the server write.
//!
//! | Path | Type |
//! |---|---|
//! | `environments/<env>/environment.yaml` | [`Environment`] |
//! | `environments/<env>/<service>/release.yaml` | [`crate::ReleaseFile`] |
//! | `environments/<env>/<service>/operations.yaml` | [`Operations`] |
//! | `environments/<env>/<service>/manifests/*.yaml` | the released bytes |
//! | `policies/<name>.yaml` | [`Policy`] |
//! | `holds/<env>/<service>.yaml` | [`Hold`] |
//! | `request.yaml` on a branch `requests/<id>` | [`Request`] |

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::artifact::ArtifactId;
use crate::digest::Digest;
use crate::name::{EnvironmentName, ServiceName, SiteName};
use crate::person::Actor;

/// The branch that says what runs.
pub const MAIN_BRANCH: &str = "main";
/// The side ref where outcomes are recorded.
pub const OUTCOMES_REF: &str = "refs/foreshore/outcomes";
/// Prefix of the branches that hold approval requests.
pub const REQUESTS_PREFIX: &str = "requests/";

/// A named target of releases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
}

fn one_local_site() -> Vec<SiteName> {
    vec![SiteName::new("local").expect("`local` is a DNS label")]
}

/// How many people other than the one who asks must approve, and who may.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
}

/// A manual pin that pauses automation for one service in one environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    pub actor: Actor,
    pub reason: String,
    pub at: Timestamp,
}

/// Operational state beside the artifact: what people change without a build.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operations {
    /// Replicas of each workload by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub replicas: BTreeMap<String, u32>,
    /// The agent leaves the service alone while this is set.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
}

/// A release that waits for approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Approval>,
}

/// One person's agreement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    pub actor: Actor,
    pub at: Timestamp,
}
