//! Leaves out of an object what no rule reads; a thousand services fit into little memory.

use serde_json::Value;

/// Returns the object without its bulk.
pub(crate) fn trimmed(object: &Value) -> Value {
    let mut kept = object.clone();
    let kind = object["kind"].as_str().unwrap_or_default();
    match kind {
        "ConfigMap" | "Secret" => remove(&mut kept, "", &["data", "binaryData", "stringData"]),
        "ReplicaSet" => remove(&mut kept, "/spec", &["template"]),
        "Pod" => {
            remove(
                &mut kept,
                "/spec",
                &[
                    "containers",
                    "initContainers",
                    "volumes",
                    "tolerations",
                    "affinity",
                    "ephemeralContainers",
                ],
            );
        }
        _ => {}
    }
    remove(
        &mut kept,
        "/metadata/annotations",
        &["kubectl.kubernetes.io/last-applied-configuration"],
    );
    kept
}

fn remove(object: &mut Value, pointer: &str, keys: &[&str]) {
    if let Some(map) = object.pointer_mut(pointer).and_then(Value::as_object_mut) {
        for key in keys {
            map.remove(*key);
        }
    }
}
