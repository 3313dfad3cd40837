//! A definition with one of everything.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::table;
use crate::types::{ListKind, Shape};

fn definition() -> Value {
    let ports = json!({
        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port"],
        "items": {"type": "object", "required": ["port"], "properties": {
            "port": {"type": "integer"}, "protocol": {"type": "string", "default": "TCP"},
        }},
    });
    let spec = json!({"type": "object", "required": ["size"], "properties": {
        "size": {"type": "string", "enum": ["s", "m"]},
        "replicas": {"type": "integer", "minimum": 1, "maximum": 5, "default": 2},
        "port": {"x-kubernetes-int-or-string": true},
        "name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 3},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "maybe": {"type": "string", "nullable": true},
        "ports": ports,
    }});
    let status = json!({"type": "object", "properties": {"replicas": {"type": "integer"}}});
    let version = json!({
        "name": "v1", "served": true, "storage": true,
        "subresources": {"status": {}, "scale": {
            "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas",
        }},
        "additionalPrinterColumns": [
            {"name": "Size", "type": "string", "jsonPath": ".spec.size"},
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        ],
        "schema": {"openAPIV3Schema": {
            "type": "object", "required": ["spec"], "properties": {"spec": spec, "status": status},
        }},
    });
    let names = json!({
        "plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList",
        "shortNames": ["wd"],
    });
    json!({
        "metadata": {"name": "widgets.example.org"},
        "spec": {
            "group": "example.org", "scope": "Namespaced", "names": names, "versions": [version],
        },
    })
}

fn version() -> Version {
    assert_eq!(check_definition(&definition()), []);
    compile(&definition()).pop().unwrap()
}

#[test]
fn unknown_fields_go_and_defaults_come() {
    let version = version();
    let mut object = json!({
        "apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "a"},
        "extra": 1,
        "spec": {"size": "s", "typo": true, "free": {"any": [1]}, "labels": {"a": "b"}, "maybe": null, "name": null, "ports": [{"port": 1, "x": 2}]},
    });
    assert_eq!(
        version.prune(&mut object),
        ["extra", "spec.ports[0].x", "spec.typo"]
    );
    version.fill(&mut object);
    assert_eq!(
        object["spec"],
        json!({
            "size": "s", "replicas": 2, "free": {"any": [1]}, "labels": {"a": "b"}, "maybe": null,
            "ports": [{"port": 1, "protocol": "TCP"}],
        })
    );
    assert_eq!(version.check(&object), []);
}

#[test]
fn violations_are_told_as_the_real_server_does() {
    let object = json!({"spec": {
        "replicas": 9, "port": true, "name": "AAAA", "size": "xl", "labels": {"a": 1}, "maybe": 3,
    }});
    let found: Vec<String> = version()
        .check(&object)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        found,
        [
            r#"spec.labels.a: Invalid value: "integer": spec.labels.a in body must be of type string: "integer""#,
            r#"spec.maybe: Invalid value: "integer": spec.maybe in body must be of type string: "integer""#,
            "spec.name: Too long: may not be more than 3 bytes",
            r#"spec.name: Invalid value: "AAAA": spec.name in body should match '^[a-z]+$'"#,
            r#"spec.port: Invalid value: "boolean": spec.port in body must be of type integer,string: "boolean""#,
            "spec.replicas: Invalid value: 9: spec.replicas in body should be less than or equal to 5",
            r#"spec.size: Unsupported value: "xl": supported values: "s", "m""#,
        ]
    );
    let found: Vec<String> = version()
        .check(&json!({}))
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(found, ["spec: Required value"]);
}

#[test]
fn the_schema_becomes_merge_types_and_columns() {
    let version = version();
    let ports = version
        .type_ref()
        .child("spec")
        .unwrap()
        .child("ports")
        .unwrap();
    let Shape::List {
        kind: ListKind::Map(keys),
        ..
    } = ports.shape()
    else {
        panic!("not a list with keys");
    };
    assert_eq!(keys[0].name, "port");
    assert!(
        version
            .type_ref()
            .child("metadata")
            .unwrap()
            .field("labels")
            .is_some()
    );
    let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
    let object = json!({"metadata": {"name": "a", "creationTimestamp": "2026-01-02T03:04:00Z"}, "spec": {"size": "s"}});
    assert_eq!(
        table::row(&version.resource, &object, now),
        [json!("a"), json!("s"), json!("5s")]
    );
    assert_eq!(version.scale.as_ref().unwrap().replicas, "/spec/replicas");
}

#[test]
fn a_definition_that_cannot_work_is_refused_and_what_has_no_effect_is_named() {
    let mut wrong = definition();
    wrong["metadata"]["name"] = json!("x");
    wrong["spec"]["conversion"] = json!({"strategy": "Webhook"});
    wrong["spec"]["versions"][0]["storage"] = json!(false);
    wrong["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
        ["size"] = json!({});
    let found = check_definition(&wrong);
    let paths: Vec<&str> = found
        .iter()
        .map(|violation| violation.path.as_str())
        .collect();
    assert_eq!(
        paths,
        [
            "metadata.name",
            "spec.conversion.strategy",
            "spec.versions",
            "spec.validation.openAPIV3Schema.properties[spec].properties[size].type",
            "status.storedVersions",
        ]
    );
    let mut rules = definition();
    assert!(unsupported_features(&rules).is_empty());
    rules["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["x-kubernetes-validations"] =
        json!([{"rule": "true"}]);
    assert_eq!(unsupported_features(&rules).len(), 1);
}
