//! The documents that `/openapi/v3` answers: cut down to what is served,
//! descriptions dropped, one gzip member each, in one file with an index.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use anyhow::Result;
use flate2::{Compression, GzBuilder};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha512};

use crate::kinds;
use crate::sources::Document;

const REFERENCE: &str = "#/components/schemas/";

/// Returns the packed documents and their index.
pub(crate) fn pack(documents: &[Document]) -> Result<(Vec<u8>, String)> {
    let mut packed = Vec::new();
    let mut lines = Vec::new();
    for document in documents {
        let Some(body) = reduce(document) else {
            continue;
        };
        let text = serde_json::to_vec(&body)?;
        let hash = hex::encode_upper(Sha512::digest(&text));
        let mut encoder = GzBuilder::new()
            .mtime(0)
            .write(Vec::new(), Compression::best());
        encoder.write_all(&text)?;
        let member = encoder.finish()?;
        lines.push(serde_json::to_string(&json!({"path": document.path(), "hash": hash, "offset": packed.len(), "length": member.len()}))?);
        packed.extend_from_slice(&member);
    }
    Ok((packed, format!("[\n{}\n]\n", lines.join(",\n"))))
}

/// Keeps the paths of served resources and the schemas they reach.
fn reduce(document: &Document) -> Option<Value> {
    let root = format!("/{}/", document.path());
    let mut paths = Map::new();
    let mut served = false;
    for (path, item) in document.body.get("paths").and_then(Value::as_object)? {
        let keep = path
            .strip_prefix(&root)
            .is_some_and(|rest| rest.is_empty() || is_served(document, rest));
        served |= keep && *path != root;
        if keep {
            paths.insert(path.clone(), strip(item));
        }
    }
    if !served {
        return None;
    }
    let all: BTreeMap<&String, &Value> = document.schemas().collect();
    let mut reached = BTreeSet::new();
    let mut waiting: Vec<String> = paths.values().flat_map(references).collect();
    while let Some(name) = waiting.pop() {
        if let Some(schema) = all.get(&name).filter(|_| reached.insert(name.clone())) {
            waiting.extend(references(schema));
        }
    }
    let schemas: Map<String, Value> = reached
        .into_iter()
        .map(|name| (name.clone(), strip_schema(all[&name])))
        .collect();
    Some(json!({
        "openapi": document.body["openapi"],
        "info": strip(&document.body["info"]),
        "paths": paths,
        "components": {"schemas": schemas},
    }))
}

/// Whether a path below the group-version belongs to a served resource.
fn is_served(document: &Document, rest: &str) -> bool {
    let parts: Vec<&str> = rest.split('/').collect();
    let parts = match parts.as_slice() {
        ["namespaces", "{namespace}", rest @ ..] if !rest.is_empty() => rest,
        ["watch", ..] => return false,
        parts => parts,
    };
    match *parts {
        [plural] | [plural, "{name}"] => {
            kinds::served(&document.group, &document.version, plural).is_some()
        }
        [plural, "{name}", subresource] => {
            kinds::served(&document.group, &document.version, plural)
                .is_some_and(|served| served.contains(&subresource))
        }
        // `namespaces/{name}/status` looks like a namespaced resource.
        _ => false,
    }
}

fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(key, value)| match value.as_str() {
                Some(text) if key == "$ref" => text
                    .strip_prefix(REFERENCE)
                    .map(str::to_owned)
                    .into_iter()
                    .collect(),
                _ => references(value),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

/// Drops descriptions everywhere but in responses, where they are mandatory.
fn strip(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(key, value)| !(*key == "description" && value.is_string()))
            .map(|(key, value)| {
                (
                    key.clone(),
                    if key == "responses" {
                        responses(value)
                    } else {
                        strip(value)
                    },
                )
            })
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(strip).collect::<Vec<_>>().into(),
        other => other.clone(),
    }
}

fn responses(value: &Value) -> Value {
    let Some(fields) = value.as_object() else {
        return value.clone();
    };
    fields
        .iter()
        .map(|(code, response)| {
            let mut stripped = strip(response);
            stripped["description"] = response["description"].clone();
            (code.clone(), stripped)
        })
        .collect::<Map<_, _>>()
        .into()
}

/// Drops descriptions of a schema; a property may itself be called `description`.
fn strip_schema(schema: &Value) -> Value {
    match schema {
        Value::Object(fields) => fields
            .iter()
            .filter(|(key, _)| *key != "description")
            .map(|(key, value)| {
                let stripped = match value {
                    Value::Object(properties) if key == "properties" => properties
                        .iter()
                        .map(|(name, schema)| (name.clone(), strip_schema(schema)))
                        .collect::<Map<_, _>>()
                        .into(),
                    _ if key == "default" || key == "enum" => value.clone(),
                    _ => strip_schema(value),
                };
                (key.clone(), stripped)
            })
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(strip_schema).collect::<Vec<_>>().into(),
        other => other.clone(),
    }
}
