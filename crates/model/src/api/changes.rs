//! What changes a service without a new release: operations, its end, freezes and policies.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{Policy, Tombstone};
use crate::freeze::{Effect, Freeze, Window};
use crate::name::{EnvironmentName, FreezeName, PolicyName, ServiceName};
use crate::operations::Operations;

/// `POST /api/v1/operations/<environment>/<service>`: change a service without a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OperationsRequest {
    pub change: OperationsChange,
    #[serde(default)]
    pub reason: String,
    /// The same key is carried out once, however often it arrives.
    pub idempotency_key: String,
    /// Refuse unless this is the number of the operations now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<u64>,
    #[serde(default)]
    pub dry_run: bool,
}

/// One change of a service's operations; without a workload its only one is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum OperationsChange {
    Replicas {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        workload: Option<String>,
        replicas: u32,
    },
    /// More or fewer than now: what `-` and `+` ask for.
    Step {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        workload: Option<String>,
        by: i32,
    },
    Bounds {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        workload: Option<String>,
        min: u32,
        max: u32,
    },
    /// At least so many for a while; without `from` it begins now.
    Floor {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        workload: Option<String>,
        replicas: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<String>")]
        from: Option<Timestamp>,
        #[schemars(with = "String")]
        until: Timestamp,
    },
    /// Takes all floors away.
    NoFloor {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        workload: Option<String>,
    },
    Pause,
    Resume,
}

/// What became of a change of operations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OperationsAnswer {
    /// The commit; none if nothing had to change, or for a dry run.
    pub commit: Option<String>,
    /// What the file says after it.
    pub operations: Operations,
    /// What changed, in words.
    pub words: Vec<String>,
}

/// `POST /api/v1/retire/<environment>/<service>`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetireRequest {
    pub reason: String,
    pub idempotency_key: String,
    /// Objects that keep data and may go all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confirmed: Vec<String>,
    #[serde(default)]
    pub dry_run: bool,
}

/// What becomes of a service that is retired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RetireAnswer {
    /// None for a dry run.
    pub commit: Option<String>,
    pub tombstone: Tombstone,
    /// Objects that will be removed.
    pub objects: Vec<String>,
}

/// `POST /api/v1/removals/<environment>/<service>`: let the present release take these objects away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemovalsRequest {
    pub objects: Vec<String>,
    pub reason: String,
    pub idempotency_key: String,
}

/// `PUT /api/v1/freezes/<name>`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FreezeRequest {
    pub effect: Effect,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<EnvironmentName>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceName>,
    pub window: Window,
    pub time_zone: String,
    pub reason: String,
}

/// One row of `GET /api/v1/freezes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FreezeRow {
    pub name: FreezeName,
    pub freeze: Freeze,
    /// Whether its window is open now.
    pub open: bool,
}

/// One row of `GET /api/v1/policies`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyRow {
    pub name: PolicyName,
    pub policy: Policy,
}

/// What a change of rules made: `PUT` and `DELETE` of policies, freezes and removals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeAnswer {
    /// None if the repository said so already.
    pub commit: Option<String>,
    pub subject: String,
}
