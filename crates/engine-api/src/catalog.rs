//! The resources this server answers for, and where their objects are stored.

use std::collections::HashMap;
use std::sync::Arc;

use foreshore_engine_schema::{Resource, Schema, TypeRef, convert, custom};
use foreshore_engine_store as store;
use serde_json::Value;

use crate::object;
use crate::status::{Answer, Failure, Named};

/// One served resource.
pub(crate) struct Entry {
    pub(crate) resource: Arc<Resource>,
    pub(crate) api_version: String,
    /// The collection in the store; two versions of a kind share one.
    pub(crate) rows: store::Resource,
    stored: Stored,
    pub(crate) prefix_len: usize,
}

/// In which form the objects are stored.
enum Stored {
    /// As this resource's or another spelling of its kind.
    Builtin(&'static Resource),
    Custom(Box<Custom>),
}

/// What is known of a custom resource.
pub(crate) struct Custom {
    pub(crate) version: custom::Version,
    /// The `apiVersion` in which new objects are stored.
    stored: String,
    /// All objects there are have that version and need no defaults.
    verbatim: bool,
    /// Its definition is being deleted.
    pub(crate) terminating: bool,
}

impl Entry {
    pub(crate) fn custom(&self) -> Option<&Custom> {
        match &self.stored {
            Stored::Builtin(_) => None,
            Stored::Custom(custom) => Some(custom),
        }
    }

    pub(crate) fn named(&self) -> Named<'_> {
        Named {
            group: &self.resource.group,
            plural: &self.resource.plural,
        }
    }

    pub(crate) fn type_ref(&self) -> TypeRef<'_> {
        match &self.stored {
            Stored::Builtin(_) => Schema::builtin().type_of(&self.resource),
            Stored::Custom(custom) => custom.version.type_ref(),
        }
    }

    pub(crate) fn key(&self, namespace: &str, name: &str) -> store::Key {
        store::Key::new(self.rows.clone(), namespace, name)
    }

    pub(crate) fn is(&self, group: &str, plural: &str) -> bool {
        self.resource.group == group && self.resource.plural == plural
    }

    /// Whether objects of this kind are kept at all; reviews are only answered.
    pub(crate) fn is_stored(&self) -> bool {
        self.resource.has_verb("get") || self.resource.has_verb("list")
    }

    pub(crate) fn invalid(&self, name: &str, causes: Vec<crate::status::Cause>) -> Failure {
        Failure::invalid(&self.resource.group, &self.resource.kind, name, causes)
    }

    /// Whether the stored bytes are this entry's own form.
    pub(crate) fn is_verbatim(&self) -> bool {
        match &self.stored {
            Stored::Builtin(stored) => {
                stored.group == self.resource.group && stored.version == self.resource.version
            }
            Stored::Custom(custom) => custom.verbatim,
        }
    }

    /// A stored object in this entry's form.
    pub(crate) fn present(&self, stored: &store::Object) -> Answer<Value> {
        Ok(self.present_value(object::decode(stored)?))
    }

    pub(crate) fn present_value(&self, mut stored: Value) -> Value {
        match &self.stored {
            _ if self.is_verbatim() => {}
            Stored::Builtin(form) => convert(&mut stored, form, &self.resource),
            Stored::Custom(custom) => {
                stored["apiVersion"] = self.api_version.as_str().into();
                custom.version.fill(&mut stored);
            }
        }
        stored
    }

    /// An object in the form in which it is stored.
    pub(crate) fn stored_value(&self, mut value: Value) -> Value {
        match &self.stored {
            _ if self.is_verbatim() => {}
            Stored::Builtin(form) => convert(&mut value, &self.resource, form),
            Stored::Custom(custom) => value["apiVersion"] = custom.stored.as_str().into(),
        }
        value
    }
}

/// All built-in resources that are served.
pub(crate) struct Catalog {
    /// By `group/version/plural`.
    entries: HashMap<String, Arc<Entry>>,
    /// In the order in which they are offered.
    pub(crate) offered: Vec<Arc<Resource>>,
}

/// The custom resources that definitions make, as of one revision of those.
#[derive(Default)]
pub(crate) struct CustomCatalog {
    changed: Option<u64>,
    /// What each definition, at its revision, makes.
    made: HashMap<Arc<str>, (u64, Vec<Arc<Entry>>)>,
}

impl CustomCatalog {
    /// Whether this is what the definitions make that last changed at `changed`.
    pub(crate) fn is_of(&self, changed: u64) -> bool {
        self.changed == Some(changed)
    }

    /// The next state: only what has changed is compiled.
    pub(crate) fn renewed<'a>(
        &self,
        changed: u64,
        definitions: impl Iterator<Item = &'a Arc<store::Object>>,
    ) -> Self {
        let made = definitions.map(|stored| {
            let known = self.made.get(&stored.key.name);
            let entries = match known.filter(|(revision, _)| *revision == stored.revision) {
                Some((_, entries)) => entries.clone(),
                None => custom_entries(stored),
            };
            (stored.key.name.clone(), (stored.revision, entries))
        });
        Self {
            changed: Some(changed),
            made: made.collect(),
        }
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.made.values().flat_map(|(_, entries)| entries)
    }

    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Entry>> {
        let (_, entries) = self.made.get(format!("{plural}.{group}").as_str())?;
        entries
            .iter()
            .find(|entry| entry.resource.version == version)
    }
}

/// What an established definition serves.
fn custom_entries(stored: &store::Object) -> Vec<Arc<Entry>> {
    let Ok(definition) = object::decode(stored) else {
        return vec![];
    };
    if !crate::definition::has_condition(&definition, "Established") {
        return vec![];
    }
    let versions = definition["spec"]["versions"].as_array();
    let versions = versions.map_or(&[][..], Vec::as_slice);
    let group = object::text(&definition, "/spec/group");
    let storage = versions.iter().find(|version| version["storage"] == true);
    let storage = storage.map_or("", |version| object::text(version, "/name"));
    let stored_versions = definition["status"]["storedVersions"].as_array();
    let single = versions.len() == 1 && stored_versions.is_some_and(|list| list.len() == 1);
    let terminating = object::is_deleting(&definition);
    custom::compile(&definition)
        .into_iter()
        .map(|version| {
            let resource = Arc::clone(&version.resource);
            let api_version = resource.api_version();
            let verbatim = single && !version.has_defaults();
            Arc::new(Entry {
                rows: store::Resource::new(resource.qualified_name()),
                prefix_len: object::prefix_len(&api_version, &resource.kind),
                stored: Stored::Custom(Box::new(Custom {
                    version,
                    stored: format!("{group}/{storage}"),
                    verbatim,
                    terminating,
                })),
                resource,
                api_version,
            })
        })
        .collect()
}

impl Catalog {
    pub(crate) fn builtin() -> Self {
        let served = Schema::builtin()
            .resources()
            .iter()
            .filter(|resource| resource.is_served());
        let served: Vec<Arc<Resource>> = served.cloned().map(Arc::new).collect();
        let entries = served.iter().map(|resource| {
            let name = place(&resource.group, &resource.version, &resource.plural);
            let api_version = resource.api_version();
            let (group, version, plural) = resource.storage();
            let stored = Schema::builtin().resource(group, version, plural);
            let stored = stored.expect("the tables hold what they refer to");
            let prefix_len = object::prefix_len(&api_version, &resource.kind);
            let rows = store::Resource::new(stored.qualified_name());
            (
                name,
                Arc::new(Entry {
                    resource: Arc::clone(resource),
                    api_version,
                    rows,
                    stored: Stored::Builtin(stored),
                    prefix_len,
                }),
            )
        });
        Self {
            entries: entries.collect(),
            offered: served,
        }
    }

    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Entry>> {
        self.entries.get(&place(group, version, plural))
    }

    /// A resource the server itself depends on.
    pub(crate) fn known(&self, group: &str, plural: &str) -> &Arc<Entry> {
        self.find(group, "v1", plural)
            .expect("the generated tables serve it; a test looks")
    }
}

fn place(group: &str, version: &str, plural: &str) -> String {
    format!("{group}/{version}/{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resources_the_server_itself_needs_are_served() {
        let catalog = Catalog::builtin();
        for plural in [
            "namespaces",
            "services",
            "serviceaccounts",
            "pods",
            "nodes",
            "events",
        ] {
            assert!(catalog.find("", "v1", plural).is_some(), "{plural}");
        }
        for plural in [
            "roles",
            "rolebindings",
            "clusterroles",
            "clusterrolebindings",
        ] {
            assert!(
                catalog
                    .find("rbac.authorization.k8s.io", "v1", plural)
                    .is_some(),
                "{plural}"
            );
        }
    }
}
