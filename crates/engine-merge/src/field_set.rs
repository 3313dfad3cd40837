//! Sets of paths, as managers own them, and their `fieldsV1` form.

use std::collections::{BTreeMap, BTreeSet};

use foreshore_engine_schema::TypeRef;
use serde_json::{Map, Value};

use crate::path::{Path, PathElement};
use crate::view::TypeView;

/// A set of paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSet {
    members: BTreeSet<PathElement>,
    children: BTreeMap<PathElement, Self>,
}

/// Why a `fieldsV1` value cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldSetError {
    #[error("field set is not an object")]
    NotAnObject,
    #[error("path element `{0}` cannot be read")]
    Element(String),
}

impl FieldSet {
    /// Makes a set of field paths, for example `[&["status"]]`.
    pub fn of_fields(paths: &[&[&str]]) -> Self {
        let mut set = Self::default();
        for path in paths {
            set.insert(&Path::fields(path).0);
        }
        set
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.children.is_empty()
    }

    /// Adds a path; the empty path is no field and is ignored.
    pub fn insert(&mut self, path: &[PathElement]) {
        match path {
            [] => {}
            [last] => {
                self.members.insert(last.clone());
            }
            [first, rest @ ..] => self.children.entry(first.clone()).or_default().insert(rest),
        }
    }

    /// Whether exactly this path is in the set.
    pub fn has(&self, path: &[PathElement]) -> bool {
        match path {
            [] => false,
            [last] => self.members.contains(last),
            [first, rest @ ..] => self
                .children
                .get(first)
                .is_some_and(|child| child.has(rest)),
        }
    }

    pub(crate) fn has_member(&self, element: &PathElement) -> bool {
        self.members.contains(element)
    }

    /// The paths below `element`.
    pub(crate) fn below(&self, element: &PathElement) -> Option<&Self> {
        self.children.get(element)
    }

    /// All paths, members of a level before what lies deeper.
    pub fn paths(&self) -> Vec<Path> {
        let mut found = Vec::new();
        self.collect(&mut Vec::new(), &mut found);
        found
    }

    fn collect(&self, prefix: &mut Vec<PathElement>, found: &mut Vec<Path>) {
        for member in &self.members {
            let mut path = prefix.clone();
            path.push(member.clone());
            found.push(Path(path));
        }
        for (element, child) in &self.children {
            prefix.push(element.clone());
            child.collect(prefix, found);
            prefix.pop();
        }
    }

    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut result = self.clone();
        result.members.extend(other.members.iter().cloned());
        for (element, child) in &other.children {
            let merged = result
                .children
                .get(element)
                .map_or_else(|| child.clone(), |own| own.union(child));
            result.children.insert(element.clone(), merged);
        }
        result
    }

    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let children = self.children.iter().filter_map(|(element, child)| {
            let common = child.intersection(other.children.get(element)?);
            (!common.is_empty()).then(|| (element.clone(), common))
        });
        Self {
            members: self.members.intersection(&other.members).cloned().collect(),
            children: children.collect(),
        }
    }

    /// Paths of this set that are not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let children = self.children.iter().filter_map(|(element, child)| {
            let rest = other
                .children
                .get(element)
                .map_or_else(|| child.clone(), |other| child.difference(other));
            (!rest.is_empty()).then(|| (element.clone(), rest))
        });
        Self {
            members: self.members.difference(&other.members).cloned().collect(),
            children: children.collect(),
        }
    }

    /// Paths of this set that are neither in `other` nor below a path of it.
    #[must_use]
    pub fn recursive_difference(&self, other: &Self) -> Self {
        let children = self
            .children
            .iter()
            .filter(|(element, _)| !other.members.contains(*element))
            .filter_map(|(element, child)| {
                let rest = other
                    .children
                    .get(element)
                    .map_or_else(|| child.clone(), |other| child.recursive_difference(other));
                (!rest.is_empty()).then(|| (element.clone(), rest))
            });
        Self {
            members: self.members.difference(&other.members).cloned().collect(),
            children: children.collect(),
        }
    }

    /// Adds the named fields on the way to each path: owning `.a.b` then
    /// includes `.a`, unless `a` is a key of a map.
    pub(crate) fn with_named_fields(&self, type_ref: TypeRef<'_>) -> Self {
        self.named(TypeView::Typed(type_ref))
    }

    fn named(&self, view: TypeView<'_>) -> Self {
        let mut members = self.members.clone();
        members.extend(
            self.children
                .keys()
                .filter(
                    |element| matches!(element, PathElement::Field(name) if view.declares(name)),
                )
                .cloned(),
        );
        let children = self.children.iter().map(|(element, child)| {
            let inner = match element {
                PathElement::Field(name) => view.child(name),
                PathElement::Key(_) => view.element(),
                PathElement::Value(_) | PathElement::Index(_) => TypeView::Unknown,
            };
            (element.clone(), child.named(inner))
        });
        Self {
            members,
            children: children.collect(),
        }
    }

    /// The `fieldsV1` form.
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        for member in &self.members {
            object.insert(member.spell(), Value::Object(Map::new()));
        }
        for (element, child) in &self.children {
            let mut inner = child.to_json();
            if self.members.contains(element)
                && let Some(inner) = inner.as_object_mut()
            {
                inner.insert(".".to_owned(), Value::Object(Map::new()));
            }
            object.insert(element.spell(), inner);
        }
        Value::Object(object)
    }

    /// Reads the `fieldsV1` form.
    pub fn from_json(value: &Value) -> Result<Self, FieldSetError> {
        let object = value.as_object().ok_or(FieldSetError::NotAnObject)?;
        let mut set = Self::default();
        for (key, inner) in object {
            if key == "." {
                continue;
            }
            let element =
                PathElement::parse(key).ok_or_else(|| FieldSetError::Element(key.clone()))?;
            let child = Self::from_json(inner)?;
            let itself = inner
                .as_object()
                .is_some_and(|inner| inner.is_empty() || inner.contains_key("."));
            if itself {
                set.members.insert(element.clone());
            }
            if !child.is_empty() {
                set.children.insert(element, child);
            }
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn set(value: &Value) -> FieldSet {
        FieldSet::from_json(value).unwrap()
    }

    #[test]
    fn json_form_survives_a_round_trip() {
        let value = json!({"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {".": {}, "f:image": {}}}, "f:finalizers": {"v:\"x\"": {}}, "f:replicas": {}}});
        assert_eq!(set(&value).to_json(), value);
    }

    #[test]
    fn recursive_difference_takes_what_lies_below() {
        let all = set(&json!({"f:status": {"f:phase": {}}, "f:spec": {"f:a": {}}}));
        assert_eq!(
            all.recursive_difference(&FieldSet::of_fields(&[&["status"]]))
                .to_json(),
            json!({"f:spec": {"f:a": {}}})
        );
        assert_eq!(all.difference(&FieldSet::of_fields(&[&["status"]])), all);
    }

    #[test]
    fn paths_read_as_messages_spell_them() {
        let paths: Vec<String> = set(&json!({"f:spec": {"f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:name": {}}}}})).paths().iter().map(ToString::to_string).collect();
        assert_eq!(
            paths,
            [
                ".spec.ports[containerPort=80,protocol=\"TCP\"]",
                ".spec.ports[containerPort=80,protocol=\"TCP\"].name"
            ]
        );
    }
}
