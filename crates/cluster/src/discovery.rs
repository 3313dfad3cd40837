//! Which kinds the server has, asked once for each group and version.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::core::ApiResource;
use serde_json::Value;
use tokio::time::Instant;

use crate::call::{Call, Cluster};
use crate::error::CallError;
use crate::reference::Reference;

/// A kind that was not found is asked for again only after this time, so that
/// a manifest with a wrong kind does not turn into a stream of requests.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// What a request needs to know of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Resource {
    pub api_version: String,
    pub kind: String,
    pub plural: String,
    pub namespaced: bool,
}

impl Resource {
    /// Returns the path of the collection in a namespace, or of all for an empty one.
    pub(crate) fn collection(&self, namespace: &str) -> String {
        let root = if self.api_version.contains('/') {
            "apis"
        } else {
            "api"
        };
        if self.namespaced && !namespace.is_empty() {
            format!(
                "/{root}/{}/namespaces/{namespace}/{}",
                self.api_version, self.plural
            )
        } else {
            format!("/{root}/{}/{}", self.api_version, self.plural)
        }
    }

    pub(crate) fn path(&self, reference: &Reference) -> String {
        format!(
            "{}/{}",
            self.collection(&reference.namespace),
            reference.name
        )
    }

    pub(crate) fn for_kube(&self) -> ApiResource {
        let (group, version) = self
            .api_version
            .split_once('/')
            .unwrap_or(("", &self.api_version));
        ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: self.api_version.clone(),
            kind: self.kind.clone(),
            plural: self.plural.clone(),
        }
    }
}

/// The answers so far, by `apiVersion`.
#[derive(Debug, Default)]
pub(crate) struct Discovery {
    known: Mutex<HashMap<String, Known>>,
}

#[derive(Debug)]
struct Known {
    resources: HashMap<String, Resource>,
    asked_at: Instant,
}

impl Discovery {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        // The map is replaced entry by entry, so it is whole even after a panic.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cluster {
    /// Finds how the server serves a kind.
    ///
    /// Asks the server once for each group and version, and again for a kind
    /// it did not have then: its definition may have been added since.
    pub async fn resource(&self, api_version: &str, kind: &str) -> Result<Resource, CallError> {
        let unknown = || CallError::UnknownKind {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
        };
        if let Some(known) = self.discovery().lock().get(api_version) {
            if let Some(resource) = known.resources.get(kind) {
                return Ok(resource.clone());
            }
            if known.asked_at.elapsed() < ASK_AGAIN_AFTER {
                return Err(unknown());
            }
        }
        let resources = self.discover(api_version).await?;
        let found = resources.get(kind).cloned();
        let known = Known {
            resources,
            asked_at: Instant::now(),
        };
        self.discovery()
            .lock()
            .insert(api_version.to_owned(), known);
        found.ok_or_else(unknown)
    }

    async fn discover(&self, api_version: &str) -> Result<HashMap<String, Resource>, CallError> {
        let root = if api_version.contains('/') {
            "apis"
        } else {
            "api"
        };
        let plain = api_version
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"./-".contains(&b));
        if !plain {
            return Ok(HashMap::new());
        }
        let answer = match self
            .call(&Call::get(format!("/{root}/{api_version}")))
            .await
        {
            Ok(answer) => answer.json("discovery")?,
            Err(CallError::NotFound { .. }) => return Ok(HashMap::new()),
            Err(error) => return Err(error),
        };
        let listed = answer["resources"]
            .as_array()
            .ok_or_else(|| CallError::Unreadable {
                what: format!("discovery of `{api_version}`"),
                cause: "it lists no resources".into(),
            })?;
        Ok(listed
            .iter()
            .filter_map(|entry| resource(api_version, entry))
            .collect())
    }
}

/// Reads one line of a discovery answer; subresources are not kinds of their own.
fn resource(api_version: &str, entry: &Value) -> Option<(String, Resource)> {
    let plural = entry["name"].as_str().filter(|name| !name.contains('/'))?;
    let kind = entry["kind"].as_str()?;
    let made = Resource {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
        namespaced: entry["namespaced"].as_bool()?,
    };
    Some((kind.to_owned(), made))
}
