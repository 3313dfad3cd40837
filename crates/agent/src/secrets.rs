//! Sealed values become the Kubernetes Secret that the pods of a service read.
//!
//! The plain values exist in this process and in the cluster, nowhere else.
//! Every workload that uses the Secret gets a hash of the *sealed* values, so
//! that a new value restarts its pods, and the hash tells nothing about it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use foreshore_model::yaml::{self, YamlError};
use foreshore_model::{Digest, ServiceName};
use foreshore_secret::{Key, OpenError};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::source::{Manifest, ServiceFiles};

/// Where a pod template says which values its pods were started with.
const HASH: &str = "foreshore.local/secrets-hash";

/// Why a service's secrets cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnsealError {
    #[error("secret `{name}` is sealed, and this agent has no key")]
    NoKey { name: String },
    #[error("secret `{name}` cannot be opened")]
    Open {
        name: String,
        #[source]
        cause: OpenError,
    },
    #[error(transparent)]
    Manifest(#[from] YamlError),
}

/// Adds the Secret to the files of a service, and the hash to the workloads that use it.
pub(crate) fn unseal(
    key: Option<&Key>,
    service: &ServiceName,
    sealed: &BTreeMap<String, String>,
    files: &mut ServiceFiles,
) -> Result<(), UnsealError> {
    let Some(first) = sealed.keys().next() else {
        return Ok(());
    };
    let key = key.ok_or_else(|| UnsealError::NoKey {
        name: first.clone(),
    })?;
    let mut values = serde_json::Map::new();
    for (name, text) in sealed {
        let value = key.open(text).map_err(|cause| UnsealError::Open {
            name: name.clone(),
            cause,
        })?;
        // As `data` and not `stringData`: a value that goes away shall go away there too.
        let encoded = STANDARD.encode(value.expose_secret());
        values.insert(name.clone(), json!(encoded));
    }
    let object = secret_object(service);
    let hash = hash(sealed);
    for manifest in &mut files.manifests {
        if manifest.text.contains(&object) {
            manifest.text = marked(manifest, &object, &hash)?;
        }
    }
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": object, "annotations": {HASH: hash}},
        "type": "Opaque",
        "data": values,
    });
    files.manifests.push(Manifest {
        path: "secrets".to_owned(),
        text: secret.to_string(),
    });
    Ok(())
}

/// The name that plans render as `secrets[].object`.
fn secret_object(service: &ServiceName) -> String {
    format!("{service}-secrets")
}

fn hash(sealed: &BTreeMap<String, String>) -> String {
    let text: String = sealed
        .iter()
        .flat_map(|(name, text)| [name.as_str(), "\0", text.as_str(), "\0"])
        .collect();
    Digest::of(text.as_bytes()).short().to_owned()
}

/// Writes the hash into every pod template of a file that uses the Secret.
fn marked(manifest: &Manifest, object: &str, hash: &str) -> Result<String, YamlError> {
    let mut documents = yaml::read_manifests(&manifest.path, &manifest.text)?;
    for document in &mut documents {
        let template = match document["kind"].as_str() {
            Some("Deployment" | "StatefulSet" | "DaemonSet") => "/spec/template",
            Some("CronJob") => "/spec/jobTemplate/spec/template",
            // The template of a Job cannot be changed; it gets the values when it starts.
            _ => continue,
        };
        if let Some(template) = document.pointer_mut(template)
            && uses(template, object)
        {
            template["metadata"]["annotations"][HASH] = json!(hash);
        }
    }
    // JSON is YAML; only the cluster reads this.
    let texts: Vec<String> = documents.iter().map(Value::to_string).collect();
    Ok(texts.join("\n---\n"))
}

/// Whether a pod template names the Secret: for a variable, for all of them, or as a volume.
fn uses(value: &Value, object: &str) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(field, value)| match field.as_str() {
            "secretKeyRef" | "secretRef" => value["name"] == object,
            "secretName" => value == object,
            _ => uses(value, object),
        }),
        Value::Array(items) => items.iter().any(|item| uses(item, object)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    const DEPLOYMENT: &str = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {template: {spec: {containers: [{name: web, env: [{name: DB, valueFrom: {secretKeyRef: {name: web-secrets, key: DB}}}]}]}}}}";
    const OTHER: &str = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: job}, spec: {template: {spec: {containers: [{name: job}]}}}}";

    fn seal(key: &Key, value: &str) -> String {
        foreshore_secret::seal(&value.to_owned().into(), &[key.recipient()]).unwrap()
    }

    fn unsealed(key: &Key, value: &str) -> Vec<Value> {
        let mut files = fixture::files(1, &[DEPLOYMENT, OTHER]);
        let sealed = BTreeMap::from([("DB".to_owned(), seal(key, value))]);
        unseal(Some(key), &fixture::web(), &sealed, &mut files).unwrap();
        let read = files
            .manifests
            .iter()
            .flat_map(|manifest| yaml::read_manifests(&manifest.path, &manifest.text).unwrap());
        read.collect()
    }

    #[test]
    fn pods_that_use_a_value_are_started_anew_when_it_changes_and_others_are_not() {
        let key = Key::draw();
        let (first, second) = (unsealed(&key, "one: 1 # ' \""), unsealed(&key, "two"));
        assert_eq!(first[2]["data"]["DB"], STANDARD.encode("one: 1 # ' \""));
        assert_eq!(first[2]["metadata"]["name"], "web-secrets");
        let hash = |objects: &[Value], index: usize| {
            objects[index]["spec"]["template"]["metadata"]["annotations"][HASH].clone()
        };
        assert!(hash(&first, 0).is_string());
        assert_ne!(hash(&first, 0), hash(&second, 0));
        assert!(hash(&first, 1).is_null());
    }

    #[test]
    fn a_value_for_another_agent_is_told_by_name() {
        let key = Key::draw();
        let sealed = BTreeMap::from([("DB".to_owned(), seal(&Key::draw(), "x"))]);
        let mut files = fixture::files(1, &[DEPLOYMENT]);
        let error = unseal(Some(&key), &fixture::web(), &sealed, &mut files).unwrap_err();
        assert_eq!(error.to_string(), "secret `DB` cannot be opened");
        let error = unseal(None, &fixture::web(), &sealed, &mut files).unwrap_err();
        assert!(matches!(error, UnsealError::NoKey { .. }));
    }

    #[test]
    fn a_service_without_sealed_values_keeps_its_files() {
        let mut files = fixture::files(1, &[DEPLOYMENT]);
        let before = files.clone();
        unseal(None, &fixture::web(), &BTreeMap::new(), &mut files).unwrap();
        assert_eq!(files, before);
    }
}
