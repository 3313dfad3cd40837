//! The name in rendered manifests for "the registry that the artifact itself is in".
//!
//! An artifact is the same wherever it is kept, so what it holds must not say
//! where that is. Images of its own are named in this reserved registry, by
//! digest; who applies the manifests puts the registry there that artifacts
//! are taken from. The bytes in git and in the artifact keep the name.

use serde_json::Value;

/// Host of images that are in the same registry as the artifact.
pub const OWN_REGISTRY: &str = "registry.foreshore.local";

/// Whether a text names something in the reserved registry.
pub fn is_own(text: &str) -> bool {
    rest(text).is_some()
}

/// Returns the text with `registry` (`host[:port]`) in the place of the reserved name; none if it is not named.
pub fn located(text: &str, registry: &str) -> Option<String> {
    rest(text).map(|rest| format!("{registry}/{rest}"))
}

/// Puts `registry` into every value of an object that names something in the reserved registry.
///
/// Not only into fields called `image`: programs that start others get
/// references as arguments and variables. Keys are left alone.
pub fn locate(value: &mut Value, registry: &str) {
    match value {
        Value::String(text) => {
            if let Some(found) = located(text, registry) {
                *text = found;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| locate(item, registry)),
        Value::Object(fields) => fields
            .values_mut()
            .for_each(|field| locate(field, registry)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Returns the first value of an object that names something in the reserved registry.
pub fn first_own(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => is_own(text).then_some(text),
        Value::Array(items) => items.iter().find_map(first_own),
        Value::Object(fields) => fields.values().find_map(first_own),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

fn rest(text: &str) -> Option<&str> {
    text.strip_prefix(OWN_REGISTRY)?.strip_prefix('/')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_value_in_the_reserved_registry_gets_the_real_one_and_nothing_else_changes() {
        let mut object = json!({
            "spec": {"containers": [
                {"image": "registry.foreshore.local/web@sha256:00", "args": ["--next=registry.foreshore.local/web"]},
                {"image": "docker.io/registry.foreshore.local/web", "env": [{"value": "registry.foreshore.local/api:1"}]},
            ]},
            "registry.foreshore.local/key": "registry.foreshore.localhost/x",
            "replicas": 2,
        });
        assert_eq!(
            first_own(&object),
            Some("registry.foreshore.local/web@sha256:00")
        );
        locate(&mut object, "127.0.0.1:5000");
        assert_eq!(
            object,
            json!({
                "spec": {"containers": [
                    {"image": "127.0.0.1:5000/web@sha256:00", "args": ["--next=registry.foreshore.local/web"]},
                    {"image": "docker.io/registry.foreshore.local/web", "env": [{"value": "127.0.0.1:5000/api:1"}]},
                ]},
                "registry.foreshore.local/key": "registry.foreshore.localhost/x",
                "replicas": 2,
            })
        );
        assert_eq!(first_own(&object), None);
    }
}
