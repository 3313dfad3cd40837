//! A container's environment: from its image, services, sources and its own words.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVarSource, Pod, Secret, Service};

use super::fields;

mod services;

/// Where an image without its own finds programs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Why an environment cannot be made; the words are kubelet's.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum EnvironmentError {
    #[error("{kind} \"{name}\" not found")]
    NotFound { kind: &'static str, name: String },
    #[error("couldn't find key {key} in {kind} {namespace}/{name}")]
    NoKey {
        kind: &'static str,
        namespace: String,
        name: String,
        key: String,
    },
    #[error("key {key} in {kind} {namespace}/{name} is not text")]
    NotText {
        kind: &'static str,
        namespace: String,
        name: String,
        key: String,
    },
    #[error("`env[{variable}].valueFrom` uses `{field}`, which this node does not support")]
    Unsupported { variable: String, field: String },
}

/// Objects an environment refers to, as far as they exist.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    pub config_maps: BTreeMap<String, ConfigMap>,
    pub secrets: BTreeMap<String, Secret>,
    /// Services of the pod's namespace.
    pub services: Vec<Service>,
    /// The service of the API itself.
    pub api: Option<Service>,
}

/// What only the node knows.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub pod_address: String,
    pub node_address: String,
    pub node_name: String,
    /// For limits that are not set.
    pub node_cpu_millis: i64,
    pub node_memory_bytes: i64,
}

/// Names of config maps and secrets that a container's environment needs.
pub(crate) fn references(container: &Container) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut config_maps, mut secrets) = (BTreeSet::new(), BTreeSet::new());
    for source in container.env_from.iter().flatten() {
        config_maps.extend(
            source
                .config_map_ref
                .iter()
                .map(|reference| reference.name.clone()),
        );
        secrets.extend(
            source
                .secret_ref
                .iter()
                .map(|reference| reference.name.clone()),
        );
    }
    for source in container
        .env
        .iter()
        .flatten()
        .filter_map(|variable| variable.value_from.as_ref())
    {
        config_maps.extend(
            source
                .config_map_key_ref
                .iter()
                .map(|reference| reference.name.clone()),
        );
        secrets.extend(
            source
                .secret_key_ref
                .iter()
                .map(|reference| reference.name.clone()),
        );
    }
    (config_maps, secrets)
}

/// Computes the whole environment. Later sources win: defaults, image,
/// services, `envFrom`, `env`.
pub(crate) fn resolve(
    pod: &Pod,
    container: &Container,
    image: &[String],
    sources: &Sources,
    facts: &Facts,
) -> Result<BTreeMap<String, String>, EnvironmentError> {
    let mut result = BTreeMap::new();
    result.insert("PATH".to_owned(), PATH.to_owned());
    result.insert("HOSTNAME".to_owned(), fields::host_name(pod));
    result.insert("POD_IP".to_owned(), facts.pod_address.clone());
    for entry in image {
        let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
        result.insert(name.to_owned(), value.to_owned());
    }
    let links = fields::spec(pod).enable_service_links != Some(false);
    result.extend(services::variables(sources, links));
    from_whole_objects(container, sources, &mut result)?;
    for variable in container.env.iter().flatten() {
        let value = match (&variable.value, &variable.value_from) {
            (_, Some(source)) => {
                match from_source(pod, container, &variable.name, source, sources, facts)? {
                    Some(value) => value,
                    None => continue,
                }
            }
            (value, None) => expand(value.as_deref().unwrap_or_default(), &result),
        };
        result.insert(variable.name.clone(), value);
    }
    Ok(result)
}

/// Replaces `$(NAME)` by the variable's value; unknown names and `$$(NAME)`
/// stay as they are, less one dollar sign.
pub(crate) fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        result.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("$$") {
            result.push('$');
            rest = after;
        } else if let Some((name, after)) = rest
            .strip_prefix("$(")
            .and_then(|inner| inner.split_once(')'))
        {
            match variables.get(name) {
                Some(value) => result.push_str(value),
                None => result.push_str(&rest[..rest.len() - after.len()]),
            }
            rest = after;
        } else {
            result.push('$');
            rest = &rest[1..];
        }
    }
    result + rest
}

fn from_whole_objects(
    container: &Container,
    sources: &Sources,
    result: &mut BTreeMap<String, String>,
) -> Result<(), EnvironmentError> {
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let mut take = |key: &String, value: String| result.insert(format!("{prefix}{key}"), value);
        if let Some(reference) = &source.config_map_ref {
            match sources.config_maps.get(&reference.name) {
                Some(map) => map
                    .data
                    .iter()
                    .flatten()
                    .for_each(|(key, value)| drop(take(key, value.clone()))),
                None if reference.optional == Some(true) => {}
                None => {
                    return Err(EnvironmentError::NotFound {
                        kind: "configmap",
                        name: reference.name.clone(),
                    });
                }
            }
        }
        if let Some(reference) = &source.secret_ref {
            match sources.secrets.get(&reference.name) {
                Some(secret) => secret.data.iter().flatten().for_each(|(key, value)| {
                    take(key, String::from_utf8_lossy(&value.0).into_owned());
                }),
                None if reference.optional == Some(true) => {}
                None => {
                    return Err(EnvironmentError::NotFound {
                        kind: "secret",
                        name: reference.name.clone(),
                    });
                }
            }
        }
    }
    Ok(())
}

fn from_source(
    pod: &Pod,
    container: &Container,
    variable: &str,
    source: &EnvVarSource,
    sources: &Sources,
    facts: &Facts,
) -> Result<Option<String>, EnvironmentError> {
    let unsupported = |field: &str| EnvironmentError::Unsupported {
        variable: variable.to_owned(),
        field: field.to_owned(),
    };
    if let Some(reference) = &source.field_ref {
        return field(pod, &reference.field_path, facts)
            .map(Some)
            .ok_or_else(|| unsupported(&reference.field_path));
    }
    if let Some(reference) = &source.resource_field_ref {
        let of = reference
            .container_name
            .as_deref()
            .and_then(|name| fields::container(pod, name))
            .unwrap_or(container);
        let divisor = reference
            .divisor
            .as_ref()
            .map(|quantity| quantity.0.as_str());
        return super::fields::resource(
            of,
            &reference.resource,
            divisor,
            facts.node_cpu_millis,
            facts.node_memory_bytes,
        )
        .map(Some)
        .ok_or_else(|| unsupported(&reference.resource));
    }
    let wanted = if let Some(reference) = &source.config_map_key_ref {
        let map = sources.config_maps.get(&reference.name);
        Wanted {
            object: map.is_some(),
            value: map
                .and_then(|map| map.data.as_ref()?.get(&reference.key).cloned())
                .map(String::into_bytes),
            kind: "configmap",
            title: "ConfigMap",
            name: &reference.name,
            key: &reference.key,
            optional: reference.optional == Some(true),
        }
    } else if let Some(reference) = &source.secret_key_ref {
        let secret = sources.secrets.get(&reference.name);
        Wanted {
            object: secret.is_some(),
            value: secret
                .and_then(|secret| secret.data.as_ref()?.get(&reference.key))
                .map(|bytes| bytes.0.clone()),
            kind: "secret",
            title: "Secret",
            name: &reference.name,
            key: &reference.key,
            optional: reference.optional == Some(true),
        }
    } else {
        return Err(unsupported("an unknown source"));
    };
    wanted.found(fields::namespace(pod))
}

/// One key of an object, found or not.
struct Wanted<'a> {
    /// Whether the object exists.
    object: bool,
    value: Option<Vec<u8>>,
    kind: &'static str,
    title: &'static str,
    name: &'a str,
    key: &'a str,
    optional: bool,
}

impl Wanted<'_> {
    fn found(self, namespace: &str) -> Result<Option<String>, EnvironmentError> {
        let (namespace, name, key) = (
            namespace.to_owned(),
            self.name.to_owned(),
            self.key.to_owned(),
        );
        match self.value {
            Some(bytes) => {
                String::from_utf8(bytes)
                    .map(Some)
                    .map_err(|_| EnvironmentError::NotText {
                        kind: self.title,
                        namespace,
                        name,
                        key,
                    })
            }
            None if self.optional => Ok(None),
            None if self.object => Err(EnvironmentError::NoKey {
                kind: self.title,
                namespace,
                name,
                key,
            }),
            None => Err(EnvironmentError::NotFound {
                kind: self.kind,
                name,
            }),
        }
    }
}

/// The value of a field of the pod; `None` if it cannot be had this way.
pub(crate) fn field(pod: &Pod, path: &str, facts: &Facts) -> Option<String> {
    let entry = |map: &Option<BTreeMap<String, String>>, key: &str| {
        Some(
            map.as_ref()
                .and_then(|map| map.get(key))
                .cloned()
                .unwrap_or_default(),
        )
    };
    if let Some((map, key)) = path
        .strip_suffix("']")
        .and_then(|inner| inner.split_once("['"))
    {
        return match map {
            "metadata.labels" => entry(&pod.metadata.labels, key),
            "metadata.annotations" => entry(&pod.metadata.annotations, key),
            _ => None,
        };
    }
    let spec = fields::spec(pod);
    match path {
        "metadata.name" => pod.metadata.name.clone(),
        "metadata.namespace" => pod.metadata.namespace.clone(),
        "metadata.uid" => pod.metadata.uid.clone(),
        "metadata.labels" => Some(lines(pod.metadata.labels.as_ref())),
        "metadata.annotations" => Some(lines(pod.metadata.annotations.as_ref())),
        "spec.nodeName" => Some(facts.node_name.clone()),
        "spec.serviceAccountName" => Some(spec.service_account_name.clone().unwrap_or_default()),
        "status.hostIP" | "status.hostIPs" => Some(facts.node_address.clone()),
        "status.podIP" | "status.podIPs" => Some(facts.pod_address.clone()),
        _ => None,
    }
}

fn lines(map: Option<&BTreeMap<String, String>>) -> String {
    let line = |(key, value): (&String, &String)| format!("{key}={value:?}");
    map.into_iter()
        .flatten()
        .map(line)
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests;
