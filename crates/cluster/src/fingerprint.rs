//! Recognising whether an object is still what it was.

use foreshore_model::Digest;
use serde_json::{Map, Value};

/// Parts of `metadata` that change without anybody changing the object.
const VOLATILE: [&str; 6] = [
    "managedFields",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
];

/// Returns a short text that changes when what somebody wrote in the object changes.
///
/// Status and bookkeeping are left out. Of a Secret only its version counts:
/// even a hash of its content says something about it.
pub fn fingerprint(object: &Value) -> String {
    let content = if object["kind"] == "Secret" {
        let metadata = &object["metadata"];
        Value::Array(vec![
            metadata["uid"].clone(),
            metadata["resourceVersion"].clone(),
        ])
    } else {
        written(object)
    };
    Digest::of(content.to_string().as_bytes())
        .short()
        .to_owned()
}

/// Whether both say the same, apart from status and bookkeeping.
pub fn same_content(one: &Value, other: &Value) -> bool {
    written(one) == written(other)
}

fn written(object: &Value) -> Value {
    let Some(fields) = object.as_object() else {
        return Value::Null;
    };
    let kept = fields
        .iter()
        .filter(|(key, _)| *key != "status")
        .map(|(key, value)| {
            let value = match value {
                Value::Object(metadata) if key == "metadata" => Value::Object(stable(metadata)),
                other => other.clone(),
            };
            (key.clone(), value)
        });
    Value::Object(kept.collect())
}

/// Controllers number deployments by an annotation; that is bookkeeping too.
fn stable(metadata: &Map<String, Value>) -> Map<String, Value> {
    let mut kept: Map<String, Value> = metadata
        .iter()
        .filter(|(key, _)| !VOLATILE.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    kept.retain(|_, value| !is_nothing(value));
    let empty = kept
        .get_mut("annotations")
        .and_then(Value::as_object_mut)
        .is_some_and(|annotations| {
            annotations.retain(|key, _| !key.starts_with("deployment.kubernetes.io/"));
            annotations.is_empty()
        });
    if empty {
        kept.remove("annotations");
    }
    kept
}

/// Readers differ in whether they keep such fields, so they must not count.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_somebody_wrote_changes_the_fingerprint() {
        let object = json!({"kind": "Deployment", "metadata": {"name": "web", "resourceVersion": "1"}, "spec": {"replicas": 1}});
        let mut other = object.clone();
        other["metadata"]["resourceVersion"] = json!("2");
        other["metadata"]["generation"] = json!(5);
        other["metadata"]["managedFields"] = json!([{}]);
        other["metadata"]["annotations"] = json!({"deployment.kubernetes.io/revision": "4"});
        other["status"] = json!({"replicas": 1});
        assert_eq!(fingerprint(&object), fingerprint(&other));
        other["spec"]["replicas"] = json!(2);
        assert_ne!(fingerprint(&object), fingerprint(&other));
    }

    #[test]
    fn the_fingerprint_of_a_secret_does_not_depend_on_its_content() {
        let secret = |data: &str, version: &str| json!({"kind": "Secret", "metadata": {"uid": "u", "resourceVersion": version}, "data": {"password": data}});
        assert_eq!(
            fingerprint(&secret("a", "1")),
            fingerprint(&secret("b", "1"))
        );
        assert_ne!(
            fingerprint(&secret("a", "1")),
            fingerprint(&secret("a", "2"))
        );
    }
}
