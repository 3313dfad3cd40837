//! The whole table and its lookups.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::load;
use crate::resource::{GroupVersion, GroupVersionKind, Resource, Subresource};
use crate::types::{TypeId, TypeRef, Types};

/// Kinds and types of one Kubernetes version.
#[derive(Debug)]
pub struct Schema {
    pub(crate) kubernetes: String,
    pub(crate) types: Types,
    pub(crate) resources: Vec<Resource>,
    pub(crate) kinds: HashMap<GroupVersionKind, TypeId>,
    pub(crate) group_versions: Vec<GroupVersion>,
}

static BUILTIN: LazyLock<Schema> =
    LazyLock::new(|| load::builtin().expect("the data files were generated and are tested"));

impl Schema {
    /// The built-in tables, decoded at first use.
    pub fn builtin() -> &'static Self {
        &BUILTIN
    }

    /// The version the tables were made from, for example `v1.36.2`.
    pub fn kubernetes_version(&self) -> &str {
        &self.kubernetes
    }

    /// All resources, in the real server's discovery order. Look at
    /// [`Resource::support`] before answering for one.
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// All group-versions, the preferred version of each group first.
    pub fn group_versions(&self) -> &[GroupVersion] {
        &self.group_versions
    }

    /// Finds a resource by its plural name.
    pub fn resource(&self, group: &str, version: &str, plural: &str) -> Option<&Resource> {
        self.resources.iter().find(|resource| {
            resource.group == group && resource.version == version && resource.plural == plural
        })
    }

    /// Finds the resource whose objects have this kind.
    pub fn resource_of_kind(&self, group: &str, version: &str, kind: &str) -> Option<&Resource> {
        self.resources.iter().find(|resource| {
            resource.group == group && resource.version == version && resource.kind == kind
        })
    }

    /// The type of a resource's objects.
    pub fn type_of(&self, resource: &Resource) -> TypeRef<'_> {
        self.types.get(resource.type_id)
    }

    /// The type of a subresource's bodies, where it has one.
    pub fn type_of_subresource(&self, subresource: &Subresource) -> Option<TypeRef<'_>> {
        subresource.type_id.map(|id| self.types.get(id))
    }

    /// The type of any kind, including those that are not resources
    /// (`DeleteOptions`, `Status`, `Eviction`, `Scale`).
    pub fn kind(&self, group: &str, version: &str, kind: &str) -> Option<TypeRef<'_>> {
        let key = GroupVersionKind {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
        };
        self.kinds.get(&key).map(|id| self.types.get(*id))
    }

    /// The struct with that full name, for example `io.k8s.api.core.v1.PodSpec`.
    pub fn named(&self, name: &str) -> Option<TypeRef<'_>> {
        self.types.named(name)
    }

    pub fn types(&self) -> &Types {
        &self.types
    }
}
