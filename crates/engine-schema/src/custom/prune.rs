//! Removal of fields no schema knows, as the real server stores objects without them.

use serde_json::Value;

use super::structural::Node;

/// Fields every object has; their own form is checked elsewhere.
const OBJECT_FIELDS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Removes unknown fields; returns their paths.
pub(super) fn prune(root: &Node, object: &mut Value) -> Vec<String> {
    let mut unknown = vec![];
    walk(root, object, "", true, &mut unknown);
    unknown.sort();
    unknown
}

fn walk(node: &Node, value: &mut Value, path: &str, is_object: bool, unknown: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            let mut gone = vec![];
            for (name, value) in fields.iter_mut() {
                if is_object && OBJECT_FIELDS.contains(&name.as_str()) {
                    continue;
                }
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                let inner = node.properties.get(name).or(node.additional.as_deref());
                match inner {
                    Some(inner) => walk(inner, value, &path, inner.embedded, unknown),
                    None if node.preserve => {}
                    None => {
                        gone.push(name.clone());
                        unknown.push(path);
                    }
                }
            }
            for name in gone {
                fields.remove(&name);
            }
        }
        Value::Array(items) => {
            let Some(inner) = node.items.as_deref() else {
                return;
            };
            for (index, item) in items.iter_mut().enumerate() {
                walk(
                    inner,
                    item,
                    &format!("{path}[{index}]"),
                    inner.embedded,
                    unknown,
                );
            }
        }
        _ => {}
    }
}
