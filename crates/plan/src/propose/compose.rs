//! Facts from a compose file: the service that is built here, and what it needs.

use std::path::Path;

use foreshore_model::yaml;
use serde_json::Value;

use super::ProposeError;
use super::facts::Facts;
use super::files::text;

const NAMES: [&str; 4] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yaml",
    "docker-compose.yml",
];

pub(super) fn read(directory: &Path, facts: &mut Facts) -> Result<(), ProposeError> {
    for name in NAMES {
        let path = directory.join(name);
        let Some(text) = text(&path)? else { continue };
        let file: Value = yaml::read_legacy(&path.display().to_string(), &text)?;
        service(name, &file, facts);
        return Ok(());
    }
    Ok(())
}

/// Whether a service is built from this very directory.
fn is_here(service: &Value) -> bool {
    let build = &service["build"];
    let context = build.as_str().or_else(|| build["context"].as_str());
    context.is_some_and(|context| matches!(context, "." | "./"))
}

fn service(origin: &str, file: &Value, facts: &mut Facts) {
    let Some(services) = file["services"].as_object() else {
        return;
    };
    let Some((name, service)) = services.iter().find(|(_, service)| is_here(service)) else {
        return;
    };
    let origin = format!("{origin} services.{name}");
    facts.name(name, &origin);
    facts.plan("container", &origin);
    for (index, port) in service["ports"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(inner_port)
        .enumerate()
    {
        let port_name = if index == 0 {
            "http".to_owned()
        } else {
            format!("port-{port}")
        };
        facts.port(&port_name, port, &format!("{origin}.ports"));
    }
    let origin_of = format!("{origin}.environment");
    match &service["environment"] {
        Value::Object(map) => {
            for (key, value) in map {
                facts.setting(key, &plain(value), &origin_of);
            }
        }
        Value::Array(list) => {
            for (key, value) in list
                .iter()
                .filter_map(Value::as_str)
                .filter_map(|line| line.split_once('='))
            {
                facts.setting(key, value, &origin_of);
            }
        }
        _ => {}
    }
    let needs: Vec<&str> = match &service["depends_on"] {
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        Value::Object(map) => map.keys().map(String::as_str).collect(),
        _ => Vec::new(),
    };
    for needed in needs {
        let origin = format!("{origin}.depends_on");
        let other = &services.get(needed).unwrap_or(&Value::Null)["image"];
        match other.as_str() {
            // Somebody else's image is a database or the like, not a service of the platform.
            Some(image) => facts.notes.push((
                "(not written)".to_owned(),
                format!("{needed} ({image})"),
                format!("{origin}; bring it with plan `external`"),
            )),
            None => {
                facts
                    .dependencies
                    .entry(needed.to_owned())
                    .or_insert(origin);
            }
        }
    }
}

/// `8080:80`, `127.0.0.1:8080:80/tcp`, `80` or `target: 80`: the port inside.
fn inner_port(port: &Value) -> Option<u16> {
    if let Some(number) = port.as_u64().or_else(|| port["target"].as_u64()) {
        return u16::try_from(number).ok();
    }
    let text = port.as_str()?;
    text.rsplit(':').next()?.split('/').next()?.parse().ok()
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
