//! What is wrong with a definition itself, and what of it has no effect here.

use regex::Regex;
use serde_json::{Value, json};

use crate::violation::{Reason, Violation};

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];

fn violation(path: &str, reason: Reason, message: String) -> Violation {
    Violation {
        path: path.to_owned(),
        reason,
        message,
    }
}

fn required(path: &str, why: &str) -> Violation {
    let message = match why {
        "" => "Required value".to_owned(),
        why => format!("Required value: {why}"),
    };
    violation(path, Reason::Required, message)
}

fn invalid(path: &str, value: &Value, why: &str) -> Violation {
    violation(
        path,
        Reason::Invalid,
        format!("Invalid value: {value}: {why}"),
    )
}

/// Checks a defaulted definition.
pub fn check_definition(definition: &Value) -> Vec<Violation> {
    let mut found = vec![];
    let spec = &definition["spec"];
    let text = |pointer: &str| {
        spec.pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let (group, plural) = (text("/group"), text("/names/plural"));
    if definition["metadata"]["name"] != format!("{plural}.{group}") {
        let why = "must be spec.names.plural+\".\"+spec.group";
        found.push(invalid(
            "metadata.name",
            &definition["metadata"]["name"],
            why,
        ));
    }
    let approved = &definition["metadata"]["annotations"]["api-approved.kubernetes.io"];
    if (group.ends_with(".k8s.io") || group.ends_with(".kubernetes.io")) && approved.is_null() {
        let why = "protected groups must have approval annotation \
                   \"api-approved.kubernetes.io\", see \
                   https://github.com/kubernetes/enhancements/pull/1111";
        found.push(required(
            "metadata.annotations[api-approved.kubernetes.io]",
            why,
        ));
    }
    let need = |pointer: &str, found: &mut Vec<Violation>| {
        if text(pointer).is_empty() {
            found.push(required(&format!("spec{}", pointer.replace('/', ".")), ""));
        }
    };
    need("/group", &mut found);
    if !group.is_empty() && group.split('.').count() < 2 {
        let why = "should be a domain with at least one dot";
        found.push(invalid("spec.group", &json!(group), why));
    }
    match text("/scope") {
        "Namespaced" | "Cluster" => {}
        "" => found.push(required("spec.scope", "")),
        other => {
            let message = format!(
                "Unsupported value: {other:?}: supported values: \"Cluster\", \"Namespaced\""
            );
            found.push(violation("spec.scope", Reason::NotSupported, message));
        }
    }
    if text("/conversion/strategy") == "Webhook" {
        let message = "Forbidden: conversion by webhook is not supported by the embedded engine; \
                       use `strategy: None`"
            .to_owned();
        found.push(violation(
            "spec.conversion.strategy",
            Reason::Forbidden,
            message,
        ));
    }
    check_versions(spec, &mut found);
    for pointer in [
        "/names/plural",
        "/names/singular",
        "/names/kind",
        "/names/listKind",
    ] {
        need(pointer, &mut found);
    }
    let stored = spec["versions"].as_array();
    if !stored.is_some_and(|list| list.iter().any(|version| version["storage"] == true)) {
        let why = "must have at least one stored version";
        found.push(invalid("status.storedVersions", &Value::Null, why));
    }
    found
}

fn check_versions(spec: &Value, found: &mut Vec<Violation>) {
    let versions = spec["versions"].as_array().map_or(&[][..], Vec::as_slice);
    let stored = versions
        .iter()
        .filter(|version| version["storage"] == true)
        .count();
    if stored != 1 {
        let why = "must have exactly one version marked as storage version";
        found.push(invalid("spec.versions", &spec["versions"], why));
    }
    for (index, version) in versions.iter().enumerate() {
        let path = format!("spec.versions[{index}]");
        let name = &version["name"];
        if versions[..index].iter().any(|other| other["name"] == *name) {
            let why = "must contain unique version names";
            found.push(invalid("spec.versions", &spec["versions"], why));
        }
        // One schema for all versions is the definition's own to the real server.
        let same = versions
            .iter()
            .all(|other| other["schema"] == version["schema"]);
        let shared = same && version["schema"].is_object();
        if shared && index > 0 {
            continue;
        }
        let path = if shared {
            "spec.validation.openAPIV3Schema".to_owned()
        } else {
            format!("{path}.schema.openAPIV3Schema")
        };
        match version.pointer("/schema/openAPIV3Schema") {
            Some(schema) if schema.is_object() => {
                if schema["type"] != "object" {
                    let given = &schema["type"];
                    if given.is_null() {
                        let why = "must not be empty at the root";
                        found.push(required(&format!("{path}.type"), why));
                    } else {
                        let why = "must be object at the root";
                        found.push(invalid(&format!("{path}.type"), given, why));
                    }
                }
                check_schema(schema, &path, true, found);
            }
            _ => found.push(required(&path, "")),
        }
    }
}

/// Checks one place of a schema; `structural` is false below `allOf` and its like.
fn check_schema(schema: &Value, path: &str, structural: bool, found: &mut Vec<Violation>) {
    let open = schema["x-kubernetes-int-or-string"] == true
        || schema["x-kubernetes-preserve-unknown-fields"] == true;
    let kind = schema["type"].as_str().unwrap_or_default();
    if kind.is_empty() && structural && !open {
        let why = "must not be empty for specified object fields";
        let why = if path.strip_suffix(".items").is_some() {
            "must not be empty for specified array items"
        } else {
            why
        };
        if !path.ends_with("openAPIV3Schema") {
            found.push(required(&format!("{path}.type"), why));
        }
    } else if !kind.is_empty() && !TYPES.contains(&kind) {
        let words: Vec<String> = TYPES.iter().map(|word| format!("{word:?}")).collect();
        let message = format!(
            "Unsupported value: {kind:?}: supported values: {}",
            words.join(", ")
        );
        found.push(violation(
            &format!("{path}.type"),
            Reason::NotSupported,
            message,
        ));
    }
    if let Some(pattern) = schema["pattern"].as_str()
        && Regex::new(pattern).is_err()
    {
        let why = "must be a valid regular expression, but isn't";
        found.push(invalid(&format!("{path}.pattern"), &schema["pattern"], why));
    }
    if kind == "array" && structural && !schema["items"].is_object() && !open {
        found.push(required(&format!("{path}.items"), "must be specified"));
    }
    if !schema["$ref"].is_null() {
        let message = "Forbidden: $ref is not supported".to_owned();
        found.push(violation(
            &format!("{path}.$ref"),
            Reason::Forbidden,
            message,
        ));
    }
    if schema["x-kubernetes-list-type"] == "map"
        && schema["x-kubernetes-list-map-keys"]
            .as_array()
            .is_none_or(Vec::is_empty)
    {
        let why = "must not be empty if x-kubernetes-list-type is map";
        found.push(required(&format!("{path}.x-kubernetes-list-map-keys"), why));
    }
    let properties = schema["properties"].as_object();
    for (name, inner) in properties.into_iter().flatten() {
        let is_metadata = path.ends_with("openAPIV3Schema") && name == "metadata";
        let path = format!("{path}.properties[{name}]");
        check_schema(inner, &path, structural && !is_metadata, found);
    }
    for name in ["items", "additionalProperties", "not"] {
        if schema[name].is_object() {
            let structural = structural && name != "not";
            check_schema(&schema[name], &format!("{path}.{name}"), structural, found);
        }
    }
    for name in ["allOf", "anyOf", "oneOf"] {
        let list = schema[name].as_array().into_iter().flatten();
        for (index, inner) in list.enumerate() {
            check_schema(inner, &format!("{path}.{name}[{index}]"), false, found);
        }
    }
}

/// Features of a definition that are kept and change nothing here, one sentence each.
pub fn unsupported_features(definition: &Value) -> Vec<String> {
    let mut found = vec![];
    let versions = definition["spec"]["versions"].as_array();
    for version in versions.into_iter().flatten() {
        let name = version["name"].as_str().unwrap_or_default();
        let schema = version
            .pointer("/schema/openAPIV3Schema")
            .unwrap_or(&Value::Null);
        if has_rules(schema) {
            found.push(format!(
                "version {name}: x-kubernetes-validations (CEL rules) are stored but not \
                 evaluated by the embedded engine"
            ));
        }
        if version["selectableFields"]
            .as_array()
            .is_some_and(|list| !list.is_empty())
        {
            found.push(format!(
                "version {name}: selectableFields are stored but field selectors know only \
                 metadata.name and metadata.namespace in the embedded engine"
            ));
        }
    }
    found
}

fn has_rules(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => {
            fields
                .get("x-kubernetes-validations")
                .is_some_and(|rules| !rules.is_null())
                || fields.values().any(has_rules)
        }
        Value::Array(items) => items.iter().any(has_rules),
        _ => false,
    }
}
