//! The table of resources, from aggregated discovery and Table answers.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::kinds;
use crate::sources::{Document, Sources};
use crate::types::Types;

/// Renders the resources, one line each, in the server's preferred order.
pub(crate) fn collect(sources: &Sources, documents: &[Document], types: &Types) -> Result<String> {
    let kubernetes = documents
        .iter()
        .find_map(|document| document.body.pointer("/info/version"))
        .cloned()
        .unwrap_or_default();
    let mut lines = Vec::new();
    for name in ["discovery-api.json", "discovery-apis.json"] {
        let discovery = sources.json(name)?;
        for group in list(&discovery, "items") {
            let group_name = group
                .pointer("/metadata/name")
                .and_then(Value::as_str)
                .unwrap_or_default();
            for version in list(group, "versions") {
                let version_name = word(version, "version");
                for resource in list(version, "resources") {
                    if kinds::known(group_name, version_name, word(resource, "resource")) {
                        let line =
                            resource_line(sources, types, group_name, version_name, resource)?;
                        lines.push(serde_json::to_string(&line)?);
                    }
                }
            }
        }
    }
    Ok(format!(
        "{{\"kubernetes\":{kubernetes},\"resources\":[\n{}\n]}}\n",
        lines.join(",\n")
    ))
}

fn resource_line(
    sources: &Sources,
    types: &Types,
    group: &str,
    version: &str,
    resource: &Value,
) -> Result<Value> {
    let plural = word(resource, "resource");
    let kind = resource
        .pointer("/responseKind/kind")
        .and_then(Value::as_str)
        .context("resource without a kind")?;
    let served = kinds::served(group, version, plural);
    let verbs = list(resource, "verbs");
    let columns = if verbs.contains(&json!("list")) {
        columns(sources, group, version, plural)?
    } else {
        Vec::new()
    };
    let subresources: Vec<Value> = list(resource, "subresources")
        .iter()
        .map(|subresource| {
            let name = word(subresource, "subresource");
            let of = |key: &str, default: &str| {
                let word = subresource.pointer(&format!("/responseKind/{key}")).and_then(Value::as_str).unwrap_or_default();
                if word.is_empty() { default.to_owned() } else { word.to_owned() }
            };
            let same_kind = of("kind", "") == kind && of("group", "").is_empty();
            let (group, version) = if same_kind || of("version", "").is_empty() { (group.to_owned(), version.to_owned()) } else { (of("group", ""), of("version", "")) };
            json!({
                "name": name, "group": group, "version": version, "kind": of("kind", kind),
                "verbs": subresource["verbs"], "served": served.is_some_and(|served| served.contains(&name)),
            })
        })
        .collect();
    let type_name = types
        .kinds
        .get(&(group.to_owned(), version.to_owned(), kind.to_owned()))
        .with_context(|| format!("no type for kind `{kind}`"))?;
    Ok(json!({
        "group": group, "version": version, "plural": plural, "singular": word(resource, "singularResource"), "kind": kind,
        "namespaced": word(resource, "scope") == "Namespaced", "verbs": verbs, "served": served.is_some(), "type": type_name,
        "short_names": list(resource, "shortNames"), "categories": list(resource, "categories"),
        "subresources": subresources, "columns": columns,
    }))
}

fn columns(sources: &Sources, group: &str, version: &str, plural: &str) -> Result<Vec<Value>> {
    let group = if group.is_empty() { "core" } else { group };
    let table = sources.json(&format!("table-{group}-{version}-{plural}.json"))?;
    let fields: BTreeMap<&str, &str> = [("name", ""), ("type", ""), ("format", "")].into();
    Ok(list(&table, "columnDefinitions")
        .iter()
        .map(|column| {
            let mut kept: serde_json::Map<String, Value> = fields
                .keys()
                .map(|key| ((*key).to_owned(), json!(word(column, key))))
                .collect();
            kept.insert("priority".to_owned(), column["priority"].clone());
            Value::Object(kept)
        })
        .collect())
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}
