//! `foreshore.yaml`: what a service's repository says about itself.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::check::Check;
use crate::name::{EnvironmentName, ServiceName};
use crate::plan::Action;

/// The file's name, at the top of a service's repository.
pub const FILE_NAME: &str = "foreshore.yaml";

/// A service as its team describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "foreshore.yaml")]
pub struct ServiceFile {
    /// What the service is called, everywhere.
    pub name: ServiceName,
    /// The team that answers for it.
    pub owner: String,
    /// The plan: the name of one that is shipped, a directory relative to this
    /// file, a git repository (`https://host/plans.git#v1`, `git://git@host:path#main`,
    /// `file:///path#main`; `//folder` behind `.git` picks one of several plans), or an
    /// artifact in a registry (`oci://host/repository:tag`).
    pub plan: String,
    /// Named ports; `http` is the one that checks and ingress use.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ports: BTreeMap<String, u16>,
    /// Where users reach it, if they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Ingress>,
    /// Settings that become environment variables of the process; never secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Secrets, by the environment variable that holds their value in the process.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, Secret>,
    /// What one replica may use.
    #[serde(default, skip_serializing_if = "Resources::is_default")]
    pub resources: Resources,
    /// A directory that outlives a container restart, if the service keeps state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Values for the plan's own variables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, serde_json::Value>,
    /// What is done otherwise than the plan says.
    #[serde(default, skip_serializing_if = "Overrides::is_default")]
    pub overrides: Overrides,
    /// What is measured about the service after a release: scenario files, or scenarios written here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    /// Services this one calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<ServiceName>,
    /// Where it may run, and what differs there.
    pub environments: BTreeMap<EnvironmentName, EnvironmentOverride>,
}

/// A route from outside to the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ingress {
    /// Host name, `shop.example.org`.
    pub host: String,
    /// Start of the paths that are the service's.
    #[serde(default = "root_path")]
    pub path: String,
}

fn root_path() -> String {
    "/".to_owned()
}

/// What one replica may use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// Processor time, `250m` for a quarter of a core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Memory, `128Mi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
}

impl Resources {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Where the value of a secret comes from; without anything, from the age file that `foreshore secret set` writes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// A value that a secret store of the cluster holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalSecret>,
}

/// A reference into a secret store, for the External Secrets operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExternalSecret {
    /// Name of the `ClusterSecretStore`.
    pub store: String,
    /// Key inside the store.
    pub key: String,
    /// One property of a value that has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub property: Option<String>,
}

/// What a service does otherwise than its plan.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Overrides {
    /// Actions that replace the plan's of the same name as a whole, or are added.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub actions: BTreeMap<String, Action>,
    /// A directory, relative to this file, with templates that replace the plan's of the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub templates: Option<String>,
}

impl Overrides {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What differs in one environment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentOverride {
    /// Where users reach it here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Ingress>,
    /// Settings that are added or replaced here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// What one replica may use here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Values for the plan's variables here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, serde_json::Value>,
}
