//! What the API offers: resources, their subresources, verbs and columns.

use std::fmt;

use serde::Deserialize;

use crate::types::TypeId;

/// A group and version; the group of `v1` is empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupVersion {
    pub group: String,
    pub version: String,
}

/// A group, version and kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupVersionKind {
    pub group: String,
    pub version: String,
    pub kind: String,
}

impl GroupVersion {
    /// Reads `apps/v1` or `v1`.
    pub fn parse(api_version: &str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
        }
    }
}

impl fmt::Display for GroupVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() {
            f.write_str(&self.version)
        } else {
            write!(f, "{}/{}", self.group, self.version)
        }
    }
}

/// Whether the engine answers for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// It works as on the real server.
    Served,
    /// The data is here, nothing serves it: refuse it by absence.
    Reserved,
}

/// A resource of the API.
#[derive(Debug, Clone)]
pub struct Resource {
    pub group: String,
    pub version: String,
    pub plural: String,
    pub singular: String,
    pub kind: String,
    pub list_kind: String,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
    pub namespaced: bool,
    pub verbs: Vec<String>,
    pub subresources: Vec<Subresource>,
    /// Columns of its Table; empty if it cannot be listed.
    pub columns: Vec<Column>,
    pub type_id: TypeId,
    pub support: Support,
}

impl Resource {
    /// `apps/v1`, as objects carry it.
    pub fn api_version(&self) -> String {
        GroupVersion {
            group: self.group.clone(),
            version: self.version.clone(),
        }
        .to_string()
    }

    /// `deployments.apps`, as messages name it.
    pub fn qualified_name(&self) -> String {
        if self.group.is_empty() {
            self.plural.clone()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// `Deployment.apps`, as validation messages name it.
    pub fn qualified_kind(&self) -> String {
        if self.group.is_empty() {
            self.kind.clone()
        } else {
            format!("{}.{}", self.kind, self.group)
        }
    }

    pub fn is_served(&self) -> bool {
        self.support == Support::Served
    }

    pub fn has_verb(&self, verb: &str) -> bool {
        self.verbs.iter().any(|known| known == verb)
    }

    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources
            .iter()
            .find(|subresource| subresource.name == name)
    }
}

/// A subresource, with the kind its requests and answers have.
#[derive(Debug, Clone)]
pub struct Subresource {
    pub name: String,
    pub group: String,
    pub version: String,
    pub kind: String,
    pub verbs: Vec<String>,
    /// The body's type, where the tables know it.
    pub type_id: Option<TypeId>,
    pub support: Support,
}

/// A column of a Table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Column {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub format: String,
    /// 0 is always shown; greater only with `-o wide`.
    pub priority: i32,
    /// Where a custom resource's column reads its value.
    #[serde(default)]
    pub json_path: Option<String>,
}
