//! What changed between two objects, as sets of paths.

use std::collections::BTreeMap;

use foreshore_engine_schema::{ListKind, TypeRef};
use serde_json::{Map, Value};

use crate::field_set::FieldSet;
use crate::path::PathElement;
use crate::view::{Node, TypeView, entries, identify, items, same};

/// The difference between an old and a new object.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) added: FieldSet,
    pub(crate) modified: FieldSet,
    pub(crate) removed: FieldSet,
}

impl Comparison {
    /// Leaves out everything at or below the paths of `reset`.
    pub(crate) fn without(self, reset: &FieldSet) -> Self {
        Self {
            added: self.added.recursive_difference(reset),
            modified: self.modified.recursive_difference(reset),
            removed: self.removed.recursive_difference(reset),
        }
    }
}

/// Compares two objects of a type.
pub(crate) fn compare(type_ref: TypeRef<'_>, old: &Value, new: &Value) -> Comparison {
    let mut walker = Walker {
        path: Vec::new(),
        found: Comparison::default(),
    };
    walker.value(TypeView::Typed(type_ref), Some(old), Some(new));
    walker.found
}

struct Walker {
    path: Vec<PathElement>,
    found: Comparison,
}

impl Walker {
    fn value(&mut self, view: TypeView<'_>, old: Option<&Value>, new: Option<&Value>) {
        match view.node(new.filter(|value| !value.is_null()).or(old)) {
            Node::Leaf | Node::Map { atomic: true } | Node::List(ListKind::Atomic) => {
                return self.leaf(old, new);
            }
            Node::Map { atomic: false } => {
                let (left, right) = (entries(old), entries(new));
                if left.is_none_or(Map::is_empty) && right.is_none_or(Map::is_empty) {
                    return self.leaf(old, new);
                }
                for (key, value) in left.into_iter().flatten() {
                    self.step(
                        PathElement::Field(key.clone()),
                        view.child(key),
                        Some(value),
                        right.and_then(|right| right.get(key)),
                    );
                }
                for (key, value) in right
                    .into_iter()
                    .flatten()
                    .filter(|(key, _)| left.is_none_or(|left| !left.contains_key(*key)))
                {
                    self.step(
                        PathElement::Field(key.clone()),
                        view.child(key),
                        None,
                        Some(value),
                    );
                }
            }
            Node::List(kind) => {
                let (left, right) = (items(old), items(new));
                if left.is_none_or(Vec::is_empty) && right.is_none_or(Vec::is_empty) {
                    return self.leaf(old, new);
                }
                self.list(
                    view.element(),
                    kind,
                    left.map_or(&[], Vec::as_slice),
                    right.map_or(&[], Vec::as_slice),
                );
            }
        }
        match (old, new) {
            (None, _) => self.found.added.insert(&self.path),
            (_, None) => self.found.removed.insert(&self.path),
            _ => {}
        }
    }

    fn step(
        &mut self,
        element: PathElement,
        view: TypeView<'_>,
        old: Option<&Value>,
        new: Option<&Value>,
    ) {
        self.path.push(element);
        self.value(view, old, new);
        self.path.pop();
    }

    fn leaf(&mut self, old: Option<&Value>, new: Option<&Value>) {
        match (old, new) {
            (None, _) => self.found.added.insert(&self.path),
            (_, None) => self.found.removed.insert(&self.path),
            (Some(old), Some(new)) if !same(old, new) => self.found.modified.insert(&self.path),
            _ => {}
        }
    }

    fn list(&mut self, view: TypeView<'_>, kind: &ListKind, left: &[Value], right: &[Value]) {
        let mut by: BTreeMap<PathElement, (Vec<&Value>, Vec<&Value>)> = BTreeMap::new();
        for item in left {
            if let Some(element) = identify(kind, item) {
                by.entry(element).or_default().0.push(item);
            }
        }
        for item in right {
            if let Some(element) = identify(kind, item) {
                by.entry(element).or_default().1.push(item);
            }
        }
        for (element, (left, right)) in by {
            self.path.push(element);
            match (left.as_slice(), right.as_slice()) {
                ([_, _, ..], [_, _, ..]) => {
                    if left.len() != right.len()
                        || !left
                            .iter()
                            .zip(&right)
                            .all(|(left, right)| same(left, right))
                    {
                        self.found.modified.insert(&self.path);
                    }
                }
                // Duplicates are one value: going and coming they are marked as a whole.
                ([_, _, ..], rest) => {
                    if let Some(new) = rest.first() {
                        self.value(view, None, Some(new));
                    }
                    self.found.removed.insert(&self.path);
                }
                (rest, [_, _, ..]) => {
                    if let Some(old) = rest.first() {
                        self.value(view, Some(old), None);
                    }
                    self.found.added.insert(&self.path);
                }
                (left, right) => self.value(view, left.first().copied(), right.first().copied()),
            }
            self.path.pop();
        }
    }
}
