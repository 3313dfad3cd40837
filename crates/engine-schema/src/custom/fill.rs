//! Defaults of custom resources.

use serde_json::Value;

use super::structural::Node;

/// Fills in defaults at any depth; nulls where none may be go first.
pub(super) fn fill(root: &Node, object: &mut Value) {
    walk(root, object, true);
}

fn walk(node: &Node, value: &mut Value, is_object: bool) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in &node.properties {
                if is_object && name == "metadata" {
                    continue;
                }
                let forbidden_null =
                    fields.get(name).is_some_and(Value::is_null) && !inner.nullable;
                if forbidden_null {
                    fields.remove(name);
                }
                if let Some(default) = &inner.default
                    && !fields.contains_key(name)
                {
                    fields.insert(name.clone(), default.clone());
                }
            }
            for (name, value) in fields.iter_mut() {
                let inner = node.properties.get(name).or(node.additional.as_deref());
                if let Some(inner) = inner {
                    if value.is_null()
                        && !inner.nullable
                        && let Some(default) = &inner.default
                    {
                        *value = default.clone();
                    }
                    walk(inner, value, inner.embedded);
                }
            }
        }
        Value::Array(items) => {
            if let Some(inner) = node.items.as_deref() {
                for item in items {
                    walk(inner, item, inner.embedded);
                }
            }
        }
        _ => {}
    }
}
