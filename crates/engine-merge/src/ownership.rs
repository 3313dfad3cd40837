//! Which paths a configuration names: what its applier will own.

use foreshore_engine_schema::{ListKind, TypeRef};
use serde_json::Value;

use crate::field_set::FieldSet;
use crate::path::PathElement;
use crate::view::{Node, TypeView, entries, identify, items};

/// The set of every leaf and every list item or map entry in `value`.
pub(crate) fn owned_by(type_ref: TypeRef<'_>, value: &Value) -> FieldSet {
    let mut set = FieldSet::default();
    walk(TypeView::Typed(type_ref), value, &mut Vec::new(), &mut set);
    set
}

fn walk(view: TypeView<'_>, value: &Value, path: &mut Vec<PathElement>, set: &mut FieldSet) {
    match view.node(Some(value)) {
        Node::Leaf | Node::Map { atomic: true } | Node::List(ListKind::Atomic) => set.insert(path),
        Node::Map { atomic: false } => {
            for (key, entry) in entries(Some(value)).into_iter().flatten() {
                path.push(PathElement::Field(key.clone()));
                walk(view.child(key), entry, path, set);
                let empty =
                    entry.is_null() || entry.as_object().is_some_and(serde_json::Map::is_empty);
                if empty || !view.declares(key) {
                    set.insert(path);
                }
                path.pop();
            }
        }
        Node::List(kind) => {
            for item in items(Some(value)).into_iter().flatten() {
                let Some(element) = identify(kind, item) else {
                    continue;
                };
                path.push(element);
                walk(view.element(), item, path, set);
                set.insert(path);
                path.pop();
            }
        }
    }
}
