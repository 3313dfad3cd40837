//! What a service has in a cluster, remembered in the cluster itself.
//!
//! One `ConfigMap` for each service of an environment, in the environment's
//! namespace. Before an apply it names the union of what was and what is to
//! come, after pruning only what is: whenever the work is interrupted, it
//! names every object that exists, and perhaps some that do not.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use foreshore_model::{Digest, EnvironmentName, ServiceName};

use crate::ENVIRONMENT_LABEL;
use crate::apply::ApplyMode;
use crate::call::Cluster;
use crate::error::CallError;
use crate::reference::Reference;

/// The most objects one service may have: what fits in one `ConfigMap` with room to spare.
pub const ENTRIES_MAX: usize = 2_000;

/// Label that marks the `ConfigMap`.
const INVENTORY_LABEL: &str = "foreshore.local/inventory";
const KEY: &str = "inventory.json";

/// One object that a service has, or is about to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    #[serde(rename = "v")]
    pub api_version: String,
    #[serde(rename = "k")]
    pub kind: String,
    #[serde(rename = "ns", default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    #[serde(rename = "n")]
    pub name: String,
    /// Empty until the object was written once.
    #[serde(rename = "u", default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Of the object after our last write, empty while unknown.
    #[serde(rename = "f", default, skip_serializing_if = "String::is_empty")]
    pub fingerprint: String,
}

impl Entry {
    pub fn new(reference: Reference) -> Self {
        Self {
            api_version: reference.api_version,
            kind: reference.kind,
            namespace: reference.namespace,
            name: reference.name,
            uid: String::new(),
            fingerprint: String::new(),
        }
    }

    pub fn reference(&self) -> Reference {
        Reference::new(&self.api_version, &self.kind, &self.namespace, &self.name)
    }
}

/// What one service has in one environment of this cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    pub environment: EnvironmentName,
    pub service: ServiceName,
    /// The release that was last written completely; zero for none.
    #[serde(default)]
    pub sequence: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Digest>,
    /// Tree of the config repository that was last written completely.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tree: String,
    pub entries: Vec<Entry>,
    /// Jobs that ran around releases, so that none runs twice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<HookRun>,
}

/// One run of a Job around a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookRun {
    /// What it was run for.
    pub key: String,
    /// Empty once it was removed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub job: String,
    /// Empty until it was made.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    pub state: HookState,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookState {
    Started,
    Succeeded,
    Failed,
}

/// Why inventories could not be read.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    #[error(transparent)]
    Call(#[from] CallError),
    /// Guessing what a service has would be the way to orphans or lost objects.
    #[error("cannot read inventory `{namespace}/{name}`")]
    Unreadable {
        namespace: String,
        name: String,
        #[source]
        cause: Option<serde_json::Error>,
    },
    #[error("service `{service}` would have {count} objects, at most {ENTRIES_MAX} are supported")]
    TooLarge { service: ServiceName, count: usize },
}

impl Inventory {
    pub fn empty(environment: EnvironmentName, service: ServiceName) -> Self {
        Self {
            environment,
            service,
            sequence: 0,
            artifact: None,
            tree: String::new(),
            entries: Vec::new(),
            hooks: Vec::new(),
        }
    }

    pub fn entry(&self, reference: &Reference) -> Option<&Entry> {
        self.entries
            .iter()
            .find(|entry| entry.reference().is_same(reference))
    }

    fn name(&self) -> String {
        format!("foreshore-inventory.{}.{}", self.environment, self.service)
    }

    fn reference(&self, namespace: &str) -> Reference {
        Reference::new("v1", "ConfigMap", namespace, self.name())
    }

    fn of(object: &Value) -> Result<Self, InventoryError> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let unreadable = |cause| InventoryError::Unreadable {
            namespace: text("/metadata/namespace").unwrap_or_default().to_owned(),
            name: text("/metadata/name").unwrap_or_default().to_owned(),
            cause,
        };
        let Some(content) = object["data"][KEY].as_str() else {
            return Err(unreadable(None));
        };
        serde_json::from_str(content).map_err(|cause| unreadable(Some(cause)))
    }
}

impl Cluster {
    /// Returns the inventories of all services of an environment.
    pub async fn inventories(
        &self,
        namespace: &str,
        environment: &EnvironmentName,
    ) -> Result<Vec<Inventory>, InventoryError> {
        let selector = format!("{INVENTORY_LABEL}=true,{ENVIRONMENT_LABEL}={environment}");
        let found = self.list("v1", "ConfigMap", namespace, &selector).await?;
        found.iter().map(Inventory::of).collect()
    }

    /// Returns the inventory of one service, none if it has none here.
    pub async fn inventory(
        &self,
        namespace: &str,
        environment: &EnvironmentName,
        service: &ServiceName,
    ) -> Result<Option<Inventory>, InventoryError> {
        let reference = Inventory::empty(environment.clone(), service.clone()).reference(namespace);
        self.get(&reference)
            .await?
            .as_ref()
            .map(Inventory::of)
            .transpose()
    }

    /// Writes what a service has.
    pub async fn save_inventory(
        &self,
        namespace: &str,
        inventory: &Inventory,
    ) -> Result<(), InventoryError> {
        if inventory.entries.len() > ENTRIES_MAX {
            let count = inventory.entries.len();
            return Err(InventoryError::TooLarge {
                service: inventory.service.clone(),
                count,
            });
        }
        let content =
            serde_json::to_string(inventory).map_err(|cause| InventoryError::Unreadable {
                namespace: namespace.to_owned(),
                name: inventory.name(),
                cause: Some(cause),
            })?;
        let object = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": inventory.name(),
                "namespace": namespace,
                "labels": {
                    INVENTORY_LABEL: "true",
                    ENVIRONMENT_LABEL: inventory.environment.as_str(),
                    // Not the ownership label: the inventory is not one of the service's objects.
                    "foreshore.local/inventory-of": inventory.service.as_str(),
                },
            },
            "data": { KEY: content },
        });
        self.apply(&object, ApplyMode::Force).await?;
        Ok(())
    }

    /// Removes the inventory of a service that has nothing left.
    pub async fn remove_inventory(
        &self,
        namespace: &str,
        inventory: &Inventory,
    ) -> Result<(), InventoryError> {
        self.delete(&inventory.reference(namespace), None).await?;
        Ok(())
    }
}
