//! Takes paths out of an object.

use foreshore_engine_schema::{ListKind, TypeRef};
use serde_json::{Map, Value};

use crate::field_set::FieldSet;
use crate::path::PathElement;
use crate::view::{Node, TypeView, identify};

/// Returns `object` without the items in `set`.
pub(crate) fn without(type_ref: TypeRef<'_>, object: &Value, set: &FieldSet) -> Value {
    remove(TypeView::Typed(type_ref), object, set).unwrap_or_else(|| Value::Object(Map::new()))
}

fn remove(view: TypeView<'_>, value: &Value, set: &FieldSet) -> Option<Value> {
    match (view.node(Some(value)), value) {
        (Node::Leaf, _) => Some(value.clone()),
        (Node::Map { atomic: false }, Value::Object(entries)) if !entries.is_empty() => {
            let mut kept = Map::new();
            let mut touched = false;
            for (key, entry) in entries {
                let element = PathElement::Field(key.clone());
                if set.has_member(&element) {
                    continue;
                }
                let entry = set.below(&element).map_or_else(
                    || entry.clone(),
                    |below| {
                        touched = true;
                        inside(view.child(key), entry, below)
                    },
                );
                kept.insert(key.clone(), entry);
            }
            (!kept.is_empty() || touched).then_some(Value::Object(kept))
        }
        (Node::List(kind), Value::Array(items))
            if !items.is_empty() && *kind != ListKind::Atomic =>
        {
            let mut kept = Vec::new();
            let mut touched = false;
            for item in items {
                let element = identify(kind, item);
                if element
                    .as_ref()
                    .is_some_and(|element| set.has_member(element))
                {
                    continue;
                }
                let below = element.as_ref().and_then(|element| set.below(element));
                kept.push(below.map_or_else(
                    || item.clone(),
                    |below| {
                        touched = true;
                        inside(view.element(), item, below)
                    },
                ));
            }
            (!kept.is_empty() || touched).then_some(Value::Array(kept))
        }
        _ => None,
    }
}

/// Removes inside a value that itself stays, if only as an empty shell.
fn inside(view: TypeView<'_>, value: &Value, below: &FieldSet) -> Value {
    remove(view, value, below).unwrap_or_else(|| match value {
        Value::Object(_) => Value::Object(Map::new()),
        Value::Array(_) => Value::Array(Vec::new()),
        _ => Value::Null,
    })
}
