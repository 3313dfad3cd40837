//! What must hold inside a pod's spec, also in templates.

use std::collections::HashSet;

use serde_json::Value;

use crate::names;
use crate::object::text;
use crate::status::Cause;
use crate::strategy::checks::unsupported;

/// Where the spec stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Pod,
    /// In a template.
    Template,
    /// In a template whose pods are kept running.
    KeptRunning,
}

pub(super) fn validate(spec: &Value, path: &str, place: Use) -> Vec<Cause> {
    let mut causes = vec![];
    let containers = spec.get("containers").and_then(Value::as_array);
    if containers.is_none_or(Vec::is_empty) {
        causes.push(Cause::required(format!("{path}.containers"), ""));
    }
    let restart = text(spec, "/restartPolicy");
    if place == Use::KeptRunning && restart != "Always" {
        causes.push(unsupported(
            format!("{path}.restartPolicy"),
            restart,
            &["Always"],
        ));
    }
    let volumes = volumes(spec, path, &mut causes);
    let mut seen = HashSet::new();
    for list in ["initContainers", "containers"] {
        let items = spec.get(list).and_then(Value::as_array);
        for (index, container) in items.into_iter().flatten().enumerate() {
            let path = format!("{path}.{list}[{index}]");
            validate_container(container, &path, &volumes, &mut causes);
            let name = text(container, "/name");
            if !name.is_empty() && !seen.insert(name) {
                causes.push(Cause::duplicate(format!("{path}.name"), &name.into()));
            }
        }
    }
    let deadline = spec.get("activeDeadlineSeconds").and_then(Value::as_i64);
    if let Some(deadline) = deadline.filter(|limit| !(1..=i64::from(i32::MAX)).contains(limit)) {
        causes.push(Cause::invalid(
            format!("{path}.activeDeadlineSeconds"),
            &deadline.into(),
            "must be between 1 and 2147483647, inclusive",
        ));
    }
    let grace = spec
        .get("terminationGracePeriodSeconds")
        .and_then(Value::as_i64);
    if let Some(grace) = grace.filter(|grace| *grace < 0) {
        causes.push(Cause::invalid(
            format!("{path}.terminationGracePeriodSeconds"),
            &grace.into(),
            "must be greater than or equal to 0",
        ));
    }
    causes
}

fn volumes<'a>(spec: &'a Value, path: &str, causes: &mut Vec<Cause>) -> HashSet<&'a str> {
    let mut names = HashSet::new();
    let volumes = spec.get("volumes").and_then(Value::as_array);
    for (index, volume) in volumes.into_iter().flatten().enumerate() {
        let field = format!("{path}.volumes[{index}].name");
        let name = text(volume, "/name");
        if let Some(why) = names::label(name).filter(|_| !name.is_empty()) {
            causes.push(Cause::invalid(field, &name.into(), &why));
        } else if !names.insert(name) {
            causes.push(Cause::duplicate(field, &name.into()));
        }
    }
    names
}

fn validate_container(
    container: &Value,
    path: &str,
    volumes: &HashSet<&str>,
    causes: &mut Vec<Cause>,
) {
    let name = text(container, "/name");
    if !name.is_empty()
        && let Some(why) = names::label(name)
    {
        causes.push(Cause::invalid(format!("{path}.name"), &name.into(), &why));
    }
    let image = text(container, "/image");
    if image.is_empty() {
        causes.push(Cause::required(format!("{path}.image"), ""));
    } else if image.trim() != image {
        let why = "must not have leading or trailing whitespace";
        causes.push(Cause::invalid(format!("{path}.image"), &image.into(), why));
    }
    let ports = container.get("ports").and_then(Value::as_array);
    let mut port_names = HashSet::new();
    for (index, port) in ports.into_iter().flatten().enumerate() {
        let path = format!("{path}.ports[{index}]");
        let number = port.get("containerPort").unwrap_or(&Value::Null);
        port_number(number, format!("{path}.containerPort"), causes);
        let name = text(port, "/name");
        if !name.is_empty() && !port_names.insert(name) {
            causes.push(Cause::duplicate(format!("{path}.name"), &name.into()));
        }
    }
    let mounts = container.get("volumeMounts").and_then(Value::as_array);
    for (index, mount) in mounts.into_iter().flatten().enumerate() {
        let name = text(mount, "/name");
        if !name.is_empty() && !volumes.contains(name) {
            causes.push(Cause {
                reason: "FieldValueNotFound",
                field: format!("{path}.volumeMounts[{index}].name"),
                message: format!("Not found: {name:?}"),
            });
        }
    }
    let variables = container.get("env").and_then(Value::as_array);
    for (index, variable) in variables.into_iter().flatten().enumerate() {
        if text(variable, "/name").is_empty() {
            causes.push(Cause::required(format!("{path}.env[{index}].name"), ""));
        }
    }
    amounts(container, path, causes);
}

/// A request must not exceed its limit.
fn amounts(container: &Value, path: &str, causes: &mut Vec<Cause>) {
    use foreshore_engine_schema::Quantity;
    let of = |kind: &str, resource: &str| -> Option<Quantity> {
        Quantity::parse(
            container
                .pointer(&format!("/resources/{kind}/{resource}"))?
                .as_str()?,
        )
        .ok()
    };
    for resource in ["cpu", "memory", "ephemeral-storage"] {
        if let (Some(request), Some(limit)) = (of("requests", resource), of("limits", resource))
            && request > limit
        {
            causes.push(Cause::invalid(
                format!("{path}.resources.requests"),
                &request.to_string().into(),
                &format!("must be less than or equal to {resource} limit of {limit}"),
            ));
        }
    }
}

pub(super) fn port_number(port: &Value, field: String, causes: &mut Vec<Cause>) {
    match port.as_i64() {
        None => causes.push(Cause::required(field, "")),
        Some(1..=65535) => {}
        Some(_) => {
            causes.push(Cause::invalid(
                field,
                port,
                "must be between 1 and 65535, inclusive",
            ));
        }
    }
}
