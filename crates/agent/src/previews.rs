//! What this cluster would make of open requests: a server-side dry run, told to the server.
//!
//! People see it before they agree. Nothing is written to the cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::time::Duration;

use foreshore_cluster::{ApplyMode, CallError, Cluster, Reference, same_content};
use foreshore_model::api::{ObjectPreview, SitePreview};
use foreshore_model::config::Request;
use foreshore_model::{Digest, EnvironmentName, Intent, ReleaseFile, SiteName, chain, clock};
use serde_json::Value;
use tracing::{debug, warn};

use crate::desired::desired;
use crate::server::Server;
use crate::source::{Manifest, ServiceFiles, Source};
use crate::supply::{Supply, located};

/// Pause after the server did not answer.
const RETRY: Duration = Duration::from_secs(5);

/// Follows the open requests of this agent's environments.
#[derive(Debug)]
pub(crate) struct Previews {
    pub(crate) cluster: Cluster,
    pub(crate) server: Server,
    pub(crate) source: std::sync::Arc<dyn Source>,
    pub(crate) environments: Vec<EnvironmentName>,
    pub(crate) site: SiteName,
    pub(crate) supply: Option<std::sync::Arc<Supply>>,
}

impl Previews {
    /// Works until it is dropped.
    pub(crate) async fn run(self) {
        let mut told: BTreeSet<(String, Digest)> = BTreeSet::new();
        let mut version = String::new();
        loop {
            let open = match self.server.requests(&version).await {
                Ok(open) => {
                    version = open.version;
                    open.requests
                }
                Err(error) => {
                    debug!(
                        error = &error as &dyn Error,
                        "open requests not known; will retry"
                    );
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
            };
            let keys: BTreeSet<(String, Digest)> = open
                .iter()
                .map(|request| (request.id.clone(), request.artifact.clone()))
                .collect();
            told.retain(|key| keys.contains(key));
            for request in open {
                let key = (request.id.clone(), request.artifact.clone());
                if !self.environments.contains(&request.environment) || told.contains(&key) {
                    continue;
                }
                match self.preview(&request).await {
                    Ok(()) => drop(told.insert(key)),
                    Err(error) => {
                        let cause = chain(&*error);
                        warn!(
                            cause,
                            request = request.id,
                            "request not tried on the cluster; will retry"
                        );
                        // Ask for all of them again, a little later.
                        version.clear();
                        tokio::time::sleep(RETRY).await;
                    }
                }
            }
        }
    }

    async fn preview(&self, request: &Request) -> Result<(), Box<dyn Error + Send + Sync>> {
        let Some(commit) = self.source.tip().await? else {
            return Ok(());
        };
        let environment = self
            .source
            .environment(&commit, &request.environment)
            .await?
            .environment;
        if !environment.sites.contains(&self.site) {
            return Ok(());
        }
        let files = self.server.request_files(&request.id).await?;
        let wanted = desired(
            service_files(request, files),
            &request.environment,
            &request.service,
            &environment.namespace,
            &commit,
        );
        let wanted = located(self.supply.as_deref(), wanted)?;
        let mut objects = Vec::new();
        for object in &wanted.objects {
            objects.push(self.try_one(object).await);
        }
        let inventory = self
            .cluster
            .inventory(
                &environment.namespace,
                &request.environment,
                &request.service,
            )
            .await?;
        for entry in inventory
            .into_iter()
            .flat_map(|inventory| inventory.entries)
        {
            let reference = entry.reference();
            if !wanted.references().any(|kept| kept.is_same(&reference)) {
                objects.push(told(&reference, "removed", Vec::new()));
            }
        }
        let preview = SitePreview {
            request: request.id.clone(),
            environment: request.environment.clone(),
            site: self.site.clone(),
            artifact: request.artifact.clone(),
            objects,
            at: clock::now(),
        };
        Ok(self.server.tell_preview(&preview).await?)
    }

    async fn try_one(&self, object: &Value) -> ObjectPreview {
        let Some(reference) = Reference::of(object) else {
            return told(&Reference::new("", "", "", ""), "refused", Vec::new());
        };
        let live = match self.cluster.get(&reference).await {
            Ok(live) => live,
            Err(error) => return refused(&reference, &error),
        };
        let tried = match self.cluster.apply(object, ApplyMode::DryRun).await {
            Ok(tried) => tried.object,
            // The namespace is made by the release itself.
            Err(CallError::NotFound { .. }) if live.is_none() => {
                return told(&reference, "created", Vec::new());
            }
            Err(error) => return refused(&reference, &error),
        };
        match live {
            None => told(&reference, "created", Vec::new()),
            Some(live) if same_content(&live, &tried) => told(&reference, "unchanged", Vec::new()),
            Some(live) => {
                let mut fields = Vec::new();
                changed_fields("", &live, &tried, &mut fields);
                told(&reference, "changed", fields)
            }
        }
    }
}

fn told(reference: &Reference, effect: &str, details: Vec<String>) -> ObjectPreview {
    ObjectPreview {
        object: reference.to_string(),
        effect: effect.to_owned(),
        details,
    }
}

fn refused(reference: &Reference, error: &CallError) -> ObjectPreview {
    told(reference, "refused", vec![error.chain()])
}

/// So many fields are named; more say little more.
const FIELDS_MAX: usize = 20;

/// Names the fields that differ, without what the server keeps for itself.
///
/// Only names: a value may be a secret.
fn changed_fields(path: &str, before: &Value, after: &Value, fields: &mut Vec<String>) {
    if fields.len() >= FIELDS_MAX || before == after {
        return;
    }
    if let (Some(old), Some(new)) = (before.as_object(), after.as_object()) {
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for name in names {
            let inner = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            let bookkeeping = matches!(
                inner.as_str(),
                "status"
                    | "metadata.generation"
                    | "metadata.resourceVersion"
                    | "metadata.managedFields"
                    | "metadata.creationTimestamp"
                    | "metadata.uid"
            );
            if !bookkeeping {
                let nothing = Value::Null;
                changed_fields(
                    &inner,
                    old.get(name).unwrap_or(&nothing),
                    new.get(name).unwrap_or(&nothing),
                    fields,
                );
            }
        }
        return;
    }
    if let (Some(old), Some(new)) = (before.as_array(), after.as_array())
        && old.len() == new.len()
    {
        for (index, (old, new)) in old.iter().zip(new).enumerate() {
            changed_fields(&format!("{path}[{index}]"), old, new, fields);
        }
        return;
    }
    fields.push(path.to_owned());
}

/// The files of a request as if they were released.
fn service_files(request: &Request, files: BTreeMap<String, String>) -> ServiceFiles {
    let manifests = files
        .into_iter()
        .map(|(path, text)| Manifest { path, text });
    ServiceFiles {
        tree: String::new(),
        release: ReleaseFile {
            service: request.service.clone(),
            environment: request.environment.clone(),
            sequence: 0,
            artifact: request.artifact.clone(),
            artifact_id: request.artifact_id.clone(),
            intent: Intent::Release,
            actor: request.requested_by.clone(),
            reason: String::new(),
            at: request.at,
            previous: None,
            approved_by: Vec::new(),
            verdicts: Vec::new(),
        },
        operations: foreshore_model::Operations::default(),
        removals: None,
        checks: Vec::new(),
        manifests: manifests.collect(),
        manifests_tree: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changed_fields_are_named_and_their_values_are_not() {
        let before = json!({"metadata": {"name": "web", "generation": 1}, "data": {"a": "old secret", "b": "1"}, "list": [{"x": 1}], "status": 1});
        let after = json!({"metadata": {"name": "web", "generation": 2}, "data": {"a": "new secret", "b": "1", "c": "2"}, "list": [{"x": 2}], "status": 2});
        let mut fields = Vec::new();
        changed_fields("", &before, &after, &mut fields);
        assert_eq!(fields, ["data.a", "data.c", "list[0].x"]);
    }
}
