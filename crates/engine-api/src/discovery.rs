//! What the server offers, in the old and the aggregated form. Made from the tables alone.

use foreshore_engine_schema::{GroupVersion, Resource, Schema, Subresource, Support};
use http::header;
use http::request::Parts;
use serde_json::{Value, json};

fn served(group: &str, version: &str) -> Vec<&'static Resource> {
    let all = Schema::builtin().resources().iter();
    all.filter(|resource| {
        resource.is_served() && resource.group == group && resource.version == version
    })
    .collect()
}

fn served_subresources(resource: &Resource) -> impl Iterator<Item = &Subresource> {
    resource
        .subresources
        .iter()
        .filter(|subresource| subresource.support == Support::Served)
}

/// Group-versions with at least one resource; the preferred version of a group first.
fn group_versions() -> Vec<&'static GroupVersion> {
    let all = Schema::builtin().group_versions().iter();
    all.filter(|known| !served(&known.group, &known.version).is_empty())
        .collect()
}

fn named_groups() -> Vec<&'static str> {
    let mut groups: Vec<&str> = Vec::new();
    for known in group_versions() {
        if !known.group.is_empty() && !groups.contains(&known.group.as_str()) {
            groups.push(&known.group);
        }
    }
    groups
}

fn versions(group: &str) -> impl Iterator<Item = &'static GroupVersion> {
    group_versions()
        .into_iter()
        .filter(move |known| known.group == group)
}

/// Paths of all groups and their versions.
pub(crate) fn served_paths() -> Vec<String> {
    let mut paths = vec![];
    for group in named_groups() {
        paths.push(format!("/apis/{group}"));
        paths.extend(versions(group).map(|known| format!("/apis/{group}/{}", known.version)));
    }
    paths
}

/// `/api` in the old form.
pub(crate) fn core_versions(parts: &Parts) -> Value {
    let host = parts
        .headers
        .get(header::HOST)
        .and_then(|value| value.to_str().ok());
    json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [
            {"clientCIDR": "0.0.0.0/0", "serverAddress": host.unwrap_or_default()},
        ],
    })
}

fn group_object(group: &str) -> Value {
    let versions: Vec<Value> = versions(group)
        .map(|known| json!({"groupVersion": known.to_string(), "version": known.version}))
        .collect();
    json!({"name": group, "versions": versions, "preferredVersion": versions.first()})
}

/// `/apis` in the old form.
pub(crate) fn groups() -> Value {
    let groups: Vec<Value> = named_groups().into_iter().map(group_object).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/GROUP`.
pub(crate) fn group(name: &str) -> Option<Value> {
    named_groups().contains(&name).then(|| {
        let mut object = group_object(name);
        object["kind"] = "APIGroup".into();
        object["apiVersion"] = "v1".into();
        object
    })
}

/// `/api/v1` and `/apis/GROUP/VERSION`.
pub(crate) fn resources(group: &str, version: &str) -> Option<Value> {
    let served = served(group, version);
    if served.is_empty() {
        return None;
    }
    let mut entries = Vec::new();
    for resource in served {
        let mut entry = json!({
            "name": resource.plural, "singularName": resource.singular,
            "namespaced": resource.namespaced, "kind": resource.kind, "verbs": resource.verbs,
        });
        optional(&mut entry, resource);
        entries.push(entry);
        for subresource in served_subresources(resource) {
            let mut entry = json!({
                "name": format!("{}/{}", resource.plural, subresource.name), "singularName": "",
                "namespaced": resource.namespaced, "kind": subresource.kind,
                "verbs": subresource.verbs,
            });
            if (&subresource.group, &subresource.version) != (&resource.group, &resource.version) {
                entry["group"] = subresource.group.as_str().into();
                entry["version"] = subresource.version.as_str().into();
            }
            entries.push(entry);
        }
    }
    let group_version = GroupVersion {
        group: group.to_owned(),
        version: version.to_owned(),
    }
    .to_string();
    let mut list = json!({
        "kind": "APIResourceList", "groupVersion": group_version, "resources": entries,
    });
    if !group.is_empty() {
        list["apiVersion"] = "v1".into();
    }
    Some(list)
}

fn optional(entry: &mut Value, resource: &Resource) {
    if !resource.short_names.is_empty() {
        entry["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        entry["categories"] = json!(resource.categories);
    }
}

/// `/api` or `/apis` in the aggregated form.
pub(crate) fn aggregated(core_group: bool, api_version: &str) -> Value {
    let groups = if core_group { vec![""] } else { named_groups() };
    let items: Vec<Value> = groups
        .into_iter()
        .map(|group| {
            let versions: Vec<Value> = versions(group)
                .map(|known| {
                    let resources = served(group, &known.version);
                    let resources: Vec<Value> = resources.into_iter().map(aggregate).collect();
                    json!({
                        "version": known.version, "resources": resources, "freshness": "Current",
                    })
                })
                .collect();
            let metadata = match group {
                "" => json!({"creationTimestamp": null}),
                group => json!({"name": group, "creationTimestamp": null}),
            };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{api_version}"),
        "metadata": {},
        "items": items,
    })
}

fn aggregate(resource: &Resource) -> Value {
    let kind = |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
    let mut entry = json!({
        "resource": resource.plural,
        "responseKind": kind(&resource.group, &resource.version, &resource.kind),
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular,
        "verbs": resource.verbs,
    });
    optional(&mut entry, resource);
    let subresources: Vec<Value> = served_subresources(resource)
        .map(|subresource| {
            json!({
                "subresource": subresource.name,
                "responseKind": kind(&subresource.group, &subresource.version, &subresource.kind),
                "verbs": subresource.verbs,
            })
        })
        .collect();
    if !subresources.is_empty() {
        entry["subresources"] = subresources.into();
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_offer_the_same_resources() {
        let names = |value: &Value, pointer: &str, field: &str| -> Vec<String> {
            let list = value.pointer(pointer).and_then(Value::as_array).unwrap();
            let names = list
                .iter()
                .map(|entry| entry[field].as_str().unwrap().to_owned());
            names.filter(|name| !name.contains('/')).collect()
        };
        let old = resources("", "v1").unwrap();
        let new = aggregated(true, "v2");
        let resources = names(&old, "/resources", "name");
        assert_eq!(
            resources,
            names(&new, "/items/0/versions/0/resources", "resource")
        );
        assert!(resources.contains(&"pods".to_owned()));
    }

    #[test]
    fn drain_finds_the_eviction_subresource() {
        let old = resources("", "v1").unwrap();
        let entries = old["resources"].as_array().unwrap();
        let eviction = entries
            .iter()
            .find(|entry| entry["name"] == "pods/eviction")
            .unwrap();
        assert_eq!(
            (&eviction["group"], &eviction["version"]),
            (&json!("policy"), &json!("v1"))
        );
    }
}
