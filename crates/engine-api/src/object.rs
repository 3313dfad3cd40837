//! Reading and writing the parts every Kubernetes object has.

use foreshore_engine_store::{Body, Object};
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::status::{Answer, Failure};

/// Reads a stored object. Everything stored was written by [`encode`].
pub(crate) fn decode(object: &Object) -> Answer<Value> {
    serde_json::from_slice(&object.bytes).map_err(|error| {
        Failure::internal(format!("stored object {} is broken: {error}", object.key))
    })
}

/// The text under `pointer`, or nothing.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

pub(crate) fn name(value: &Value) -> &str {
    text(value, "/metadata/name")
}

pub(crate) fn uid(value: &Value) -> &str {
    text(value, "/metadata/uid")
}

pub(crate) fn is_deleting(value: &Value) -> bool {
    !text(value, "/metadata/deletionTimestamp").is_empty()
}

pub(crate) fn finalizers(value: &Value) -> Vec<&str> {
    let list = value
        .pointer("/metadata/finalizers")
        .and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// The metadata, made when missing.
pub(crate) fn metadata_mut(value: &mut Value) -> &mut Map<String, Value> {
    map_mut(value, "metadata")
}

/// The object under `field`, made when missing or of another type.
pub(crate) fn map_mut<'a>(value: &'a mut Value, field: &str) -> &'a mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    let inner = value
        .as_object_mut()
        .expect("made an object above")
        .entry(field)
        .or_insert_with(|| Value::Object(Map::new()));
    if !inner.is_object() {
        *inner = Value::Object(Map::new());
    }
    inner.as_object_mut().expect("made an object above")
}

/// Sets or removes a member.
pub(crate) fn set(map: &mut Map<String, Value>, field: &str, value: Option<Value>) {
    match value {
        Some(value) => drop(map.insert(field.to_owned(), value)),
        None => drop(map.remove(field)),
    }
}

/// Time as metadata shows it: whole seconds.
pub(crate) fn time(now: Timestamp) -> Value {
    Value::String(now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// The bytes every stored object of a kind starts with; lists leave them out.
pub(crate) fn prefix_len(api_version: &str, kind: &str) -> usize {
    let fixed = r#"{"kind":"","apiVersion":"","#;
    fixed.len() + api_version.len() + kind.len()
}

/// Writes an object: kind, version, metadata, then the rest, with the place of
/// the resource version left to the store.
pub(crate) fn encode(value: &Value) -> Body {
    let empty = Map::new();
    let whole = value.as_object().unwrap_or(&empty);
    let mut out = Writer {
        bytes: Vec::with_capacity(1024),
        first: true,
    };
    out.bytes.push(b'{');
    for field in ["kind", "apiVersion"] {
        out.member(field, whole.get(field).unwrap_or(&Value::Null));
    }
    out.name("metadata");
    let outer_first = std::mem::replace(&mut out.first, true);
    out.bytes.push(b'{');
    let metadata = whole
        .get("metadata")
        .and_then(Value::as_object)
        .unwrap_or(&empty);
    for (field, value) in metadata
        .iter()
        .filter(|(field, _)| *field != "resourceVersion")
    {
        out.member(field, value);
    }
    out.name("resourceVersion");
    out.bytes.push(b'"');
    let revision_at = out.bytes.len();
    out.bytes.extend_from_slice(b"\"}");
    out.first = outer_first;
    for (field, value) in whole {
        if !matches!(field.as_str(), "kind" | "apiVersion" | "metadata") {
            out.member(field, value);
        }
    }
    out.bytes.push(b'}');
    Body::with_revision_at(out.bytes, revision_at)
}

struct Writer {
    bytes: Vec<u8>,
    first: bool,
}

impl Writer {
    fn name(&mut self, name: &str) {
        if !std::mem::replace(&mut self.first, false) {
            self.bytes.push(b',');
        }
        self.json(name);
        self.bytes.push(b':');
    }

    fn member(&mut self, name: &str, value: &Value) {
        self.name(name);
        self.json(value);
    }

    fn json(&mut self, value: impl serde::Serialize) {
        serde_json::to_writer(&mut self.bytes, &value).expect("a value can always be written");
    }
}

#[cfg(test)]
mod tests {
    use foreshore_engine_store::{Expect, Key, Op, Options, Resource, Store};
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn an_object_comes_back_with_its_revision_and_a_known_prefix() {
        let store = Store::open(Options::memory()).unwrap();
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "a": 1,
            "metadata": {"name": "x", "resourceVersion": "99", "labels": {"q": "\""}},
            "spec": {"nodeName": "n"},
        });
        let key = Key::new(Resource::new("pods"), "default", "x");
        let op = Op::Put {
            key,
            expect: Expect::Absent,
            body: encode(&pod),
        };
        let stored = store.write(op).await.unwrap();
        let mut expected = pod.clone();
        expected["metadata"]["resourceVersion"] = json!("1");
        assert_eq!(decode(&stored).unwrap(), expected);
        let rest = &stored.bytes[prefix_len("v1", "Pod")..];
        assert!(rest.starts_with(br#""metadata":{"labels""#));
    }
}
