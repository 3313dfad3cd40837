//! The manifests of one service in one environment.

use std::collections::BTreeMap;

use foreshore_model::artifact::Manifests;
use foreshore_model::service::EnvironmentOverride;
use foreshore_model::{Digest, EnvironmentName, Plan, ServiceFile, yaml};
use serde_json::{Value, json};

use crate::error::RenderError;
use crate::resources::resources;
use crate::secrets::{looks_secret, secret_object};
use crate::template::Templates;
use crate::validate::validate;
use crate::variables::variables;

/// Everything that manifests are made from.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    pub plan: &'a Plan,
    pub service: &'a ServiceFile,
    pub environment: &'a EnvironmentName,
    /// Full reference of the service's image, by digest.
    pub image: &'a str,
    /// What the service says about itself on `/info`.
    pub version: &'a str,
}

/// Renders a service for every environment it names.
pub fn environments(
    plan: &Plan,
    service: &ServiceFile,
    image: &str,
    version: &str,
) -> Result<BTreeMap<EnvironmentName, Manifests>, RenderError> {
    let templates = Templates::of(plan)?;
    service
        .environments
        .keys()
        .map(|environment| {
            let input = Input {
                plan,
                service,
                environment,
                image,
                version,
            };
            Ok((environment.clone(), rendered(&input, &templates)?))
        })
        .collect()
}

/// Renders every template of the plan; one file for each object, named after it.
pub fn manifests(input: &Input<'_>) -> Result<Manifests, RenderError> {
    rendered(input, &Templates::of(input.plan)?)
}

fn rendered(input: &Input<'_>, templates: &Templates<'_>) -> Result<Manifests, RenderError> {
    let context = context(input)?;
    let mut files = Manifests::new();
    let mut workloads = Vec::new();
    let mut scaled = Vec::new();
    for template in input.plan.templates.keys() {
        let text = templates.render(template, &context)?;
        let documents =
            yaml::read_manifests(template, &text).map_err(|cause| RenderError::NotYaml {
                template: template.clone(),
                cause,
            })?;
        for object in documents {
            let (kind, name) = identity(template, &object)?;
            validate(&object).map_err(|what| RenderError::Invalid {
                template: template.clone(),
                kind: kind.clone(),
                name: name.clone(),
                what,
            })?;
            if kind == "HorizontalPodAutoscaler" {
                let target = |field: &str| {
                    object["spec"]["scaleTargetRef"][field]
                        .as_str()
                        .map(str::to_owned)
                };
                scaled.extend(target("kind").zip(target("name")));
            } else if !object["spec"]["replicas"].is_null() {
                workloads.push((template.clone(), kind.clone(), name.clone()));
            }
            let file = format!("{}-{name}.yaml", kind.to_lowercase());
            if files.insert(file, yaml::write(&object)?).is_some() {
                return Err(RenderError::Twice { kind, name });
            }
        }
    }
    let owned = workloads.into_iter().find(|(_, kind, name)| {
        scaled
            .iter()
            .any(|(scaled, of)| scaled == kind && of == name)
    });
    if let Some((template, kind, name)) = owned {
        return Err(RenderError::Replicas {
            template,
            kind,
            name,
        });
    }
    if files.is_empty() {
        return Err(RenderError::Nothing {
            environment: input.environment.to_string(),
        });
    }
    Ok(files)
}

fn identity(template: &str, object: &Value) -> Result<(String, String), RenderError> {
    let text = |pointer: &str, field: &'static str| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
            .ok_or_else(|| RenderError::Incomplete {
                template: template.to_owned(),
                field,
            })
    };
    text("/apiVersion", "apiVersion")?;
    Ok((
        text("/kind", "kind")?,
        text("/metadata/name", "metadata.name")?,
    ))
}

fn context(input: &Input<'_>) -> Result<Value, RenderError> {
    let Input {
        plan,
        service,
        environment,
        ..
    } = *input;
    let none = EnvironmentOverride::default();
    let own = service.environments.get(environment).unwrap_or(&none);
    if let Some(port) = plan
        .file
        .required_ports
        .iter()
        .find(|port| !service.ports.contains_key(*port))
    {
        return Err(RenderError::MissingPort {
            plan: plan.file.name.clone(),
            port: port.clone(),
        });
    }
    let settings = settings(service, own, environment)?;
    let chosen = resources(service, &plan.file, environment)?;
    let resource = |name: &str| {
        chosen
            .iter()
            .find(|choice| choice.name == name)
            .map(|choice| choice.value.clone())
    };
    let labels = BTreeMap::from([
        ("app.kubernetes.io/name", service.name.as_str()),
        ("app.kubernetes.io/managed-by", "foreshore"),
        ("foreshore.local/owner", service.owner.as_str()),
    ]);
    let settings_hash = Digest::of(json!(settings).to_string().as_bytes());
    Ok(json!({
        "service": {
            "name": service.name,
            "owner": service.owner,
            "ports": service.ports,
            "state": service.state,
            "dependencies": service.dependencies,
        },
        "environment": environment,
        "image": input.image,
        "version": input.version,
        "ingress": own.ingress.as_ref().or(service.ingress.as_ref()),
        "labels": labels,
        "settings": settings,
        "settings_hash": settings_hash.short(),
        "resources": { "cpu": resource("cpu request"), "memory": resource("memory request") },
        "secrets": secrets(service),
        "external_secrets": external_secrets(service),
        "variables": variables(&plan.file, service, Some(environment))?,
    }))
}

/// The service's settings with those of the environment; none may be a secret.
fn settings(
    service: &ServiceFile,
    own: &EnvironmentOverride,
    environment: &EnvironmentName,
) -> Result<BTreeMap<String, String>, RenderError> {
    let mut settings = service.environment.clone();
    settings.extend(own.environment.clone());
    for (name, value) in &settings {
        if let Some(why) = looks_secret(name, value) {
            let mut path = vec!["environment".to_owned(), name.clone()];
            if own.environment.contains_key(name) {
                path.splice(0..0, ["environments".to_owned(), environment.to_string()]);
            }
            return Err(RenderError::Secret {
                name: name.clone(),
                why,
                path,
            });
        }
    }
    Ok(settings)
}

/// Environment variables that hold secrets, and the objects their values are in.
fn secrets(service: &ServiceFile) -> Vec<Value> {
    let secrets = service.secrets.iter().map(|(name, secret)| {
        json!({ "name": name, "object": secret_object(&service.name, secret.external.is_some()) })
    });
    secrets.collect()
}

fn external_secrets(service: &ServiceFile) -> Vec<Value> {
    let secrets = service.secrets.iter().filter_map(|(name, secret)| {
        let external = secret.external.as_ref()?;
        Some(json!({
            "name": name,
            "object": secret_object(&service.name, true),
            "store": external.store,
            "key": external.key,
            "property": external.property,
        }))
    });
    secrets.collect()
}

#[cfg(test)]
mod tests;
