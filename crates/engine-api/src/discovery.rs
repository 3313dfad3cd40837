//! What the server offers, in the old and the aggregated form.

use std::sync::Arc;

use foreshore_engine_schema::{GroupVersion, Resource, Subresource, Support};
use http::header;
use http::request::Parts;
use serde_json::{Value, json};

use crate::core::Core;
use crate::usage;

/// All resources that answer, those of a group-version together and the preferred version
/// of a group first.
pub(crate) struct Offers(Vec<Arc<Resource>>);

impl Offers {
    /// Built-in resources, those of the metrics group, and custom ones.
    pub(crate) fn of(core: &Core) -> Self {
        let mut all = core.catalog.offered.clone();
        all.extend(usage::resources());
        let custom = core.custom();
        let mut made: Vec<Arc<Resource>> = custom
            .entries()
            .map(|entry| Arc::clone(&entry.resource))
            .collect();
        made.sort_by_cached_key(|resource| {
            let age = priority(&resource.version);
            (
                resource.group.clone(),
                age,
                resource.version.clone(),
                resource.plural.clone(),
            )
        });
        all.extend(made);
        Self(all)
    }

    fn served(&self, group: &str, version: &str) -> Vec<&Resource> {
        let all = self.0.iter().map(|resource| &**resource);
        all.filter(|resource| resource.group == group && resource.version == version)
            .collect()
    }

    /// Group-versions; the preferred version of a group first.
    fn group_versions(&self) -> Vec<GroupVersion> {
        let mut found: Vec<GroupVersion> = vec![];
        for resource in &self.0 {
            let known = GroupVersion {
                group: resource.group.clone(),
                version: resource.version.clone(),
            };
            if !found.contains(&known) {
                found.push(known);
            }
        }
        found
    }

    fn named_groups(&self) -> Vec<String> {
        let mut groups: Vec<String> = vec![];
        for resource in &self.0 {
            if !resource.group.is_empty() && !groups.contains(&resource.group) {
                groups.push(resource.group.clone());
            }
        }
        groups
    }

    fn versions(&self, group: &str) -> impl Iterator<Item = GroupVersion> {
        let all = self.group_versions().into_iter();
        all.filter(move |known| known.group == group)
    }

    /// Paths of all groups and their versions.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut paths = vec![];
        for group in self.named_groups() {
            paths.push(format!("/apis/{group}"));
            paths.extend(
                self.versions(&group)
                    .map(|known| format!("/apis/{group}/{}", known.version)),
            );
        }
        paths
    }

    fn group_object(&self, group: &str) -> Value {
        let versions: Vec<Value> = self
            .versions(group)
            .map(|known| json!({"groupVersion": known.to_string(), "version": known.version}))
            .collect();
        json!({"name": group, "versions": versions, "preferredVersion": versions.first()})
    }

    /// `/apis` in the old form.
    pub(crate) fn groups(&self) -> Value {
        let groups = self.named_groups();
        let groups: Vec<Value> = groups
            .iter()
            .map(|group| self.group_object(group))
            .collect();
        json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
    }

    /// `/apis/GROUP`.
    pub(crate) fn group(&self, name: &str) -> Option<Value> {
        self.named_groups()
            .iter()
            .any(|group| group == name)
            .then(|| {
                let mut object = self.group_object(name);
                object["kind"] = "APIGroup".into();
                object["apiVersion"] = "v1".into();
                object
            })
    }

    /// `/api/v1` and `/apis/GROUP/VERSION`.
    pub(crate) fn resources(&self, group: &str, version: &str) -> Option<Value> {
        let served = self.served(group, version);
        if served.is_empty() {
            return None;
        }
        let entries: Vec<Value> = served.into_iter().flat_map(listed).collect();
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

    /// `/api` or `/apis` in the aggregated form.
    pub(crate) fn aggregated(&self, core_group: bool, api_version: &str) -> Value {
        let groups = if core_group {
            vec![String::new()]
        } else {
            self.named_groups()
        };
        let version = |known: GroupVersion| {
            let resources = self.served(&known.group, &known.version);
            let resources: Vec<Value> = resources.into_iter().map(aggregate).collect();
            json!({"version": known.version, "resources": resources, "freshness": "Current"})
        };
        let items: Vec<Value> = groups
            .into_iter()
            .map(|group| {
                let versions: Vec<Value> = self.versions(&group).map(version).collect();
                let metadata = match group.as_str() {
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
}

/// Sorts versions as Kubernetes prefers them: `v2`, `v1`, `v1beta1`, `v1alpha1`, others.
fn priority(version: &str) -> (u8, i64, i64) {
    let last = (3, 0, 0);
    let Some(rest) = version.strip_prefix('v') else {
        return last;
    };
    let end = rest
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(rest.len());
    let (major, suffix) = rest.split_at(end);
    let Ok(major) = major.parse::<i64>() else {
        return last;
    };
    let minor = |text: &str| text.parse::<i64>().ok();
    match (
        suffix,
        suffix.strip_prefix("beta"),
        suffix.strip_prefix("alpha"),
    ) {
        ("", ..) => (0, -major, 0),
        (_, Some(beta), _) => minor(beta).map_or(last, |beta| (1, -major, -beta)),
        (_, _, Some(alpha)) => minor(alpha).map_or(last, |alpha| (2, -major, -alpha)),
        _ => last,
    }
}

pub(crate) fn served_subresources(resource: &Resource) -> impl Iterator<Item = &Subresource> {
    resource
        .subresources
        .iter()
        .filter(|subresource| subresource.support == Support::Served)
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

/// A resource and its subresources in the old form.
fn listed(resource: &Resource) -> Vec<Value> {
    let mut entry = json!({
        "name": resource.plural, "singularName": resource.singular,
        "namespaced": resource.namespaced, "kind": resource.kind, "verbs": resource.verbs,
    });
    optional(&mut entry, resource);
    let mut entries = vec![entry];
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
    entries
}

fn optional(entry: &mut Value, resource: &Resource) {
    if !resource.short_names.is_empty() {
        entry["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        entry["categories"] = json!(resource.categories);
    }
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
    use crate::catalog::Catalog;

    use super::*;

    fn builtin() -> Offers {
        Offers(Catalog::builtin().offered)
    }

    #[test]
    fn versions_are_preferred_as_kubernetes_does() {
        let mut versions = ["v1alpha1", "v1", "v1beta2", "v10", "odd", "v2", "v1beta10"];
        versions.sort_by_key(|version| priority(version));
        let expected = ["v10", "v2", "v1", "v1beta10", "v1beta2", "v1alpha1", "odd"];
        assert_eq!(versions, expected);
    }

    #[test]
    fn both_forms_offer_the_same_resources() {
        let names = |value: &Value, pointer: &str, field: &str| -> Vec<String> {
            let list = value.pointer(pointer).and_then(Value::as_array).unwrap();
            let names = list
                .iter()
                .map(|entry| entry[field].as_str().unwrap().to_owned());
            names.filter(|name| !name.contains('/')).collect()
        };
        let offers = builtin();
        let old = offers.resources("", "v1").unwrap();
        let new = offers.aggregated(true, "v2");
        let resources = names(&old, "/resources", "name");
        assert_eq!(
            resources,
            names(&new, "/items/0/versions/0/resources", "resource")
        );
        assert!(resources.contains(&"pods".to_owned()));
    }

    #[test]
    fn drain_finds_the_eviction_subresource() {
        let old = builtin().resources("", "v1").unwrap();
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
