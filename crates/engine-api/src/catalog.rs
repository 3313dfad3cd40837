//! The resources this server answers for, and where their objects are stored.

use std::collections::HashMap;
use std::sync::Arc;

use foreshore_engine_schema::{Resource, Schema, TypeRef, convert};
use foreshore_engine_store as store;
use serde_json::Value;

use crate::object;
use crate::status::{Answer, Failure, Named};

/// One served resource.
pub(crate) struct Entry {
    pub(crate) resource: &'static Resource,
    pub(crate) api_version: String,
    /// The collection in the store; two versions of a kind share one.
    pub(crate) rows: store::Resource,
    /// The resource whose form is stored: itself, or another spelling of its kind.
    stored: &'static Resource,
    pub(crate) prefix_len: usize,
}

impl Entry {
    pub(crate) fn named(&self) -> Named<'static> {
        Named {
            group: &self.resource.group,
            plural: &self.resource.plural,
        }
    }

    pub(crate) fn type_ref(&self) -> TypeRef<'static> {
        Schema::builtin().type_of(self.resource)
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
        std::ptr::eq(self.stored, self.resource)
    }

    /// A stored object in this entry's form.
    pub(crate) fn present(&self, stored: &store::Object) -> Answer<Value> {
        Ok(self.present_value(object::decode(stored)?))
    }

    pub(crate) fn present_value(&self, mut stored: Value) -> Value {
        if !self.is_verbatim() {
            convert(&mut stored, self.stored, self.resource);
        }
        stored
    }

    /// An object in the form in which it is stored.
    pub(crate) fn stored_value(&self, mut value: Value) -> Value {
        if !self.is_verbatim() {
            convert(&mut value, self.resource, self.stored);
        }
        value
    }
}

/// All served resources.
pub(crate) struct Catalog {
    /// By `group/version/plural`.
    entries: HashMap<String, Arc<Entry>>,
}

impl Catalog {
    pub(crate) fn builtin() -> Self {
        let served = Schema::builtin()
            .resources()
            .iter()
            .filter(|resource| resource.is_served());
        let entries = served.map(|resource| {
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
                    resource,
                    api_version,
                    rows,
                    stored,
                    prefix_len,
                }),
            )
        });
        Self {
            entries: entries.collect(),
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
