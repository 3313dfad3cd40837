//! A container's environment: from its image, services, sources and its own words.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVarSource, Pod, Secret, Service};

use super::fields;

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
    result.extend(service_variables(sources, links));
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
    if let Some(reference) = &source.config_map_key_ref {
        let object = sources.config_maps.get(&reference.name);
        let value = object.map(|map| {
            map.data
                .as_ref()
                .and_then(|data| data.get(&reference.key))
                .cloned()
        });
        return found(
            pod,
            "configmap",
            "ConfigMap",
            &reference.name,
            &reference.key,
            reference.optional,
            value,
        );
    }
    if let Some(reference) = &source.secret_key_ref {
        let object = sources.secrets.get(&reference.name);
        let value = object.map(|secret| {
            secret
                .data
                .as_ref()
                .and_then(|data| data.get(&reference.key))
        });
        let value = match value {
            Some(Some(bytes)) => Some(Some(String::from_utf8(bytes.0.clone()).map_err(|_| {
                EnvironmentError::NotText {
                    kind: "Secret",
                    namespace: fields::namespace(pod).to_owned(),
                    name: reference.name.clone(),
                    key: reference.key.clone(),
                }
            })?)),
            Some(None) => Some(None),
            None => None,
        };
        return found(
            pod,
            "secret",
            "Secret",
            &reference.name,
            &reference.key,
            reference.optional,
            value,
        );
    }
    Err(unsupported("an unknown source"))
}

/// `value` is `None` without the object, `Some(None)` without the key.
fn found(
    pod: &Pod,
    kind: &'static str,
    title: &'static str,
    name: &str,
    key: &str,
    optional: Option<bool>,
    value: Option<Option<String>>,
) -> Result<Option<String>, EnvironmentError> {
    match value {
        Some(Some(value)) => Ok(Some(value)),
        _ if optional == Some(true) => Ok(None),
        Some(None) => Err(EnvironmentError::NoKey {
            kind: title,
            namespace: fields::namespace(pod).to_owned(),
            name: name.to_owned(),
            key: key.to_owned(),
        }),
        None => Err(EnvironmentError::NotFound {
            kind,
            name: name.to_owned(),
        }),
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

/// Variables older programs find services by.
fn service_variables(sources: &Sources, links: bool) -> BTreeMap<String, String> {
    let mut result = BTreeMap::new();
    let linked = sources.services.iter().filter(|_| links);
    for service in linked.chain(&sources.api) {
        let Some(spec) = &service.spec else { continue };
        let address = spec.cluster_ip.as_deref().unwrap_or("None");
        let Some(first) = spec.ports.as_ref().and_then(|ports| ports.first()) else {
            continue;
        };
        if address == "None" || address.is_empty() {
            continue;
        }
        let prefix = service
            .metadata
            .name
            .as_deref()
            .unwrap_or_default()
            .to_uppercase()
            .replace('-', "_");
        result.insert(format!("{prefix}_SERVICE_HOST"), address.to_owned());
        result.insert(format!("{prefix}_SERVICE_PORT"), first.port.to_string());
        let protocol = |port: &k8s_openapi::api::core::v1::ServicePort| {
            port.protocol
                .clone()
                .unwrap_or_else(|| "TCP".to_owned())
                .to_lowercase()
        };
        result.insert(
            format!("{prefix}_PORT"),
            format!("{}://{address}:{}", protocol(first), first.port),
        );
        for port in spec.ports.iter().flatten() {
            if let Some(name) = &port.name {
                let name = name.to_uppercase().replace('-', "_");
                result.insert(
                    format!("{prefix}_SERVICE_PORT_{name}"),
                    port.port.to_string(),
                );
            }
            let protocol = protocol(port);
            let stem = format!("{prefix}_PORT_{}_{}", port.port, protocol.to_uppercase());
            result.insert(
                stem.clone(),
                format!("{protocol}://{address}:{}", port.port),
            );
            result.insert(format!("{stem}_PROTO"), protocol);
            result.insert(format!("{stem}_PORT"), port.port.to_string());
            result.insert(format!("{stem}_ADDR"), address.to_owned());
        }
    }
    result
}

#[cfg(test)]
mod tests;
