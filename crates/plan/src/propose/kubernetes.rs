//! Facts from a chart and from Kubernetes manifests that are there already.

use std::fs;
use std::path::Path;

use foreshore_model::yaml;
use serde_json::Value;

use super::ProposeError;
use super::facts::Facts;
use super::files::text;

/// Where manifests usually are.
const FOLDERS: [&str; 3] = ["k8s", "deploy", "kubernetes"];
/// More are not looked at.
const FILES_MAX: usize = 200;

pub(super) fn read(directory: &Path, facts: &mut Facts) -> Result<(), ProposeError> {
    for path in ["Chart.yaml", "chart/Chart.yaml"] {
        let full = directory.join(path);
        if let Some(text) = text(&full)? {
            let chart: Value = yaml::read_legacy(&full.display().to_string(), &text)?;
            if let Some(name) = chart["name"].as_str() {
                facts.name(name, &format!("{path} name"));
            }
            facts.plan("container", &format!("{path} is there"));
        }
    }
    for folder in FOLDERS {
        let Ok(entries) = fs::read_dir(directory.join(folder)) else {
            continue;
        };
        let mut names: Vec<_> = entries
            .flatten()
            .map(|entry| entry.file_name())
            .take(FILES_MAX)
            .collect();
        names.sort();
        for name in names {
            let name = name.to_string_lossy();
            if !(name.ends_with(".yaml") || name.ends_with(".yml")) {
                continue;
            }
            let path = directory.join(folder).join(name.as_ref());
            let Some(text) = text(&path)? else { continue };
            let origin = format!("{folder}/{name}");
            // A template of some other tool is no manifest, and nothing can be read from it.
            for object in yaml::read_manifests(&origin, &text).unwrap_or_default() {
                manifest(&origin, &object, facts);
            }
        }
    }
    Ok(())
}

fn manifest(origin: &str, object: &Value, facts: &mut Facts) {
    match object["kind"].as_str() {
        Some("Deployment") => deployment(origin, object, facts),
        Some("Ingress") => {
            if let Some(host) = object["spec"]["rules"][0]["host"].as_str() {
                facts
                    .host
                    .get_or_insert_with(|| (host.to_owned(), format!("{origin} Ingress")));
            }
        }
        Some("ConfigMap") => {
            for (key, value) in object["data"].as_object().into_iter().flatten() {
                let variable = key
                    .bytes()
                    .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
                if let Some(text) = value.as_str().filter(|_| variable) {
                    facts.setting(key, text, &format!("{origin} ConfigMap"));
                }
            }
        }
        _ => {}
    }
}

fn deployment(origin: &str, object: &Value, facts: &mut Facts) {
    let origin = format!("{origin} Deployment");
    if let Some(name) = object["metadata"]["name"].as_str() {
        facts.name(name, &origin);
    }
    facts.plan("container", &origin);
    let container = &object["spec"]["template"]["spec"]["containers"][0];
    for (index, port) in container["ports"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
    {
        let number = port["containerPort"]
            .as_u64()
            .and_then(|number| u16::try_from(number).ok());
        if let Some(number) = number {
            let name = match port["name"].as_str() {
                Some(name) if index > 0 => name.to_owned(),
                _ if index == 0 => "http".to_owned(),
                _ => format!("port-{number}"),
            };
            facts.port(&name, number, &origin);
        }
    }
    for variable in container["env"].as_array().into_iter().flatten() {
        if let (Some(name), Some(value)) = (variable["name"].as_str(), variable["value"].as_str()) {
            facts.setting(name, value, &origin);
        } else if let (Some(name), true) = (
            variable["name"].as_str(),
            variable["valueFrom"]["secretKeyRef"].is_object(),
        ) {
            facts
                .secrets
                .entry(name.to_owned())
                .or_insert_with(|| origin.clone());
        }
    }
    let requests = &container["resources"]["requests"];
    for (name, slot) in [
        ("cpu", &mut facts.resources.cpu),
        ("memory", &mut facts.resources.memory),
    ] {
        if let Some(value) = requests[name].as_str().filter(|_| slot.is_none()) {
            *slot = Some(value.to_owned());
            facts.resources_origin.clone_from(&origin);
        }
    }
    let path = container["readinessProbe"]["httpGet"]["path"].as_str();
    if let Some(path) = path.filter(|path| *path != "/health") {
        facts
            .variables
            .entry("health-path".to_owned())
            .or_insert_with(|| (path.into(), format!("{origin} readinessProbe")));
    }
}
