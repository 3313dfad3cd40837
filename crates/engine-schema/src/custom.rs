//! Custom resources: one version of a `CustomResourceDefinition`, compiled into the same
//! tables the built-in kinds have, and into a tree that prunes, defaults and validates.

mod check;
mod columns;
mod compile;
mod definition;
mod fill;
mod openapi;
mod prune;
mod structural;

use std::sync::Arc;

use serde_json::Value;

use crate::resource::{Resource, Subresource};
use crate::types::{TypeRef, Types};
use crate::violation::Violation;

pub(crate) use self::columns::cells;
pub use self::definition::{check_definition, unsupported_features};
use self::structural::Node;

/// Where a custom resource keeps what the scale subresource shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScalePaths {
    /// As JSON pointers.
    pub replicas: String,
    pub status_replicas: String,
    pub selector: Option<String>,
}

/// One served version of a custom resource.
#[derive(Debug)]
pub struct Version {
    pub resource: Arc<Resource>,
    pub scale: Option<ScalePaths>,
    pub deprecation: Option<String>,
    types: Types,
    root: Node,
    has_defaults: bool,
    schema: Value,
}

/// Compiles the served versions of a definition that passed [`check_definition`].
pub fn compile(definition: &Value) -> Vec<Version> {
    compile::versions(definition)
}

impl Version {
    /// The type of its objects, as merging sees it.
    pub fn type_ref(&self) -> TypeRef<'_> {
        self.types.get(self.resource.type_id)
    }

    /// The table's entry for a subresource.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.resource.subresource(name)
    }

    /// Removes what the schema does not know; returns the paths of it, sorted.
    pub fn prune(&self, object: &mut Value) -> Vec<String> {
        prune::prune(&self.root, object)
    }

    /// Fills in defaults; nulls that may not be there go first.
    pub fn fill(&self, object: &mut Value) {
        fill::fill(&self.root, object);
    }

    /// Whether reading needs [`Version::fill`].
    pub fn has_defaults(&self) -> bool {
        self.has_defaults
    }

    /// What the schema says against an object.
    pub fn check(&self, object: &Value) -> Vec<Violation> {
        check::check(&self.root, object)
    }

    /// The OpenAPI v3 document of a group-version made of these versions.
    pub fn document(versions: &[&Self]) -> Value {
        openapi::document(versions)
    }
}

#[cfg(test)]
mod tests;
