//! The OpenAPI v3 document of custom resources, as far as clients read it: which paths
//! there are, what a PATCH takes, and the schemas `kubectl explain` prints.

use serde_json::{Map, Value, json};

use super::Version;

pub(super) fn document(versions: &[&Version]) -> Value {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for version in versions {
        add_paths(version, &mut paths);
        schemas.insert(name(version), schema(version));
    }
    let title = versions
        .first()
        .map_or("", |version| &version.resource.group);
    json!({
        "openapi": "3.0.0",
        "info": {"title": format!("Kubernetes CRD {title}"), "version": "v0.1.0"},
        "paths": paths,
        "components": {"schemas": schemas},
    })
}

/// `org.example.v1.Widget`.
fn name(version: &Version) -> String {
    let resource = &version.resource;
    let mut parts: Vec<&str> = resource.group.split('.').rev().collect();
    parts.extend([resource.version.as_str(), resource.kind.as_str()]);
    parts.join(".")
}

fn kind_of(version: &Version) -> Value {
    let resource = &version.resource;
    json!({"group": resource.group, "version": resource.version, "kind": resource.kind})
}

fn add_paths(version: &Version, paths: &mut Map<String, Value>) {
    let resource = &version.resource;
    let root = format!("/apis/{}/{}", resource.group, resource.version);
    let collection = if resource.namespaced {
        format!("{root}/namespaces/{{namespace}}/{}", resource.plural)
    } else {
        format!("{root}/{}", resource.plural)
    };
    let reference = json!({"$ref": format!("#/components/schemas/{}", name(version))});
    let operation = |action: &str, options: &[&str]| {
        let parameters: Vec<Value> = options
            .iter()
            .map(|option| json!({"name": option, "in": "query", "schema": {"type": "string", "uniqueItems": true}}))
            .collect();
        json!({
            "parameters": parameters,
            "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": reference}}}},
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": kind_of(version),
        })
    };
    let writing = ["dryRun", "fieldManager", "fieldValidation"];
    let listing = [
        "labelSelector",
        "fieldSelector",
        "limit",
        "continue",
        "resourceVersion",
    ];
    paths.insert(
        collection.clone(),
        json!({"get": operation("list", &listing), "post": operation("post", &writing)}),
    );
    paths.insert(
        format!("{collection}/{{name}}"),
        json!({
            "get": operation("get", &[]),
            "put": operation("put", &writing),
            "patch": operation("patch", &["dryRun", "fieldManager", "fieldValidation", "force"]),
            "delete": operation("delete", &["dryRun", "propagationPolicy"]),
        }),
    );
    for part in &resource.subresources {
        paths.insert(
            format!("{collection}/{{name}}/{}", part.name),
            json!({
                "get": operation("get", &[]),
                "put": operation("put", &writing),
                "patch": operation("patch", &writing),
            }),
        );
    }
}

/// The schema with what every object has.
fn schema(version: &Version) -> Value {
    let mut schema = version.schema.clone();
    if !schema.is_object() {
        schema = json!({"type": "object"});
    }
    let text = json!({"type": "string"});
    let meta = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
    let properties = &mut schema["properties"];
    if !properties.is_object() {
        *properties = json!({});
    }
    properties["apiVersion"] = text.clone();
    properties["kind"] = text;
    properties["metadata"] = json!({
        "type": "object", "description": format!("Standard object metadata ({meta})"),
    });
    schema["x-kubernetes-group-version-kind"] = json!([kind_of(version)]);
    schema
}
