//! The manifests of one service in one environment.

use std::collections::BTreeMap;

use foreshore_model::artifact::Manifests;
use foreshore_model::service::EnvironmentOverride;
use foreshore_model::{Digest, EnvironmentName, Plan, ServiceFile, yaml};
use serde_json::{Value, json};

use crate::error::RenderError;
use crate::template::render;
use crate::variables::variables;

/// Enough for a small service; too little to hide a leak.
const CPU_DEFAULT: &str = "50m";
const MEMORY_DEFAULT: &str = "64Mi";

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

/// Renders every template of the plan; one file for each object, named after it.
pub fn manifests(input: &Input<'_>) -> Result<Manifests, RenderError> {
    let context = context(input)?;
    let mut files = Manifests::new();
    for (template, text) in &input.plan.templates {
        let rendered = render(template, text, &context)?;
        let documents =
            yaml::read_manifests(template, &rendered).map_err(|cause| RenderError::NotYaml {
                template: template.clone(),
                cause,
            })?;
        for object in documents {
            let (kind, name) = identity(template, &object)?;
            let file = format!("{}-{name}.yaml", kind.to_lowercase());
            if files.insert(file, yaml::write(&object)?).is_some() {
                return Err(RenderError::Twice { kind, name });
            }
        }
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
    if !service.ports.contains_key("http") {
        return Err(RenderError::NoHttpPort {
            plan: plan.file.name.clone(),
        });
    }
    let mut settings = service.environment.clone();
    settings.extend(own.environment.clone());
    let resources = own.resources.as_ref().unwrap_or(&service.resources);
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
        },
        "environment": environment,
        "image": input.image,
        "version": input.version,
        "ingress": own.ingress.as_ref().or(service.ingress.as_ref()),
        "labels": labels,
        "settings": settings,
        "settings_hash": settings_hash.short(),
        "resources": {
            "cpu": resources.cpu.as_deref().unwrap_or(CPU_DEFAULT),
            "memory": resources.memory.as_deref().unwrap_or(MEMORY_DEFAULT),
        },
        "variables": variables(&plan.file, &service.variables, &own.variables)?,
    }))
}

#[cfg(test)]
mod tests;
