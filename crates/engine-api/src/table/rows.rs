//! The rows of stored objects, written without building what no cell shows.

use std::fmt;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use foreshore_engine_schema::{Resource, table as columns};
use foreshore_engine_store::Object;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Map, Value, value::RawValue};

use crate::call::Call;
use crate::status::{Answer, Failure};

/// Where in an object a value is, as far as something there is never shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Metadata,
    /// The spec of a pod, or of the pods something makes.
    Pod,
    Container,
    Template,
    /// The spec of what may make pods.
    Spec,
    Plain,
}

impl Level {
    /// The level of a member, or nothing if no cell is made from it.
    fn member(self, name: &str) -> Option<Self> {
        match (self, name) {
            (Self::Metadata, "managedFields")
            | (Self::Pod, "affinity" | "securityContext" | "tolerations" | "volumes")
            | (
                Self::Container,
                "env" | "envFrom" | "lifecycle" | "livenessProbe" | "readinessProbe"
                | "securityContext" | "startupProbe" | "volumeMounts",
            ) => None,
            (Self::Spec, "template") => Some(Self::Template),
            (Self::Template, "spec") => Some(Self::Pod),
            (Self::Pod, "containers" | "initContainers") => Some(Self::Container),
            _ => Some(Self::Plain),
        }
    }
}

/// Rows from which on a further thread is worth its start.
const ROWS_PER_THREAD: usize = 1_000;
const THREADS_MAX: usize = 4;

/// Writes the rows of these objects with commas in between; of many, on several threads.
pub(crate) fn write(call: &Call, objects: &[Arc<Object>], text: &mut Vec<u8>) -> Answer<()> {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = (objects.len() / ROWS_PER_THREAD).clamp(1, processors.min(THREADS_MAX));
    if threads == 1 {
        return part(call, objects, text);
    }
    let (first, others) = objects.split_at(objects.len() / threads);
    let written = thread::scope(|scope| {
        let parts: Vec<_> = others
            .chunks(others.len().div_ceil(threads - 1))
            .map(|objects| {
                scope.spawn(move || {
                    let mut text = Vec::new();
                    part(call, objects, &mut text).map(|()| text)
                })
            })
            .collect();
        part(call, first, text)?;
        parts
            .into_iter()
            .map(|part| part.join().unwrap_or_else(|panic| resume_unwind(panic)))
            .collect::<Answer<Vec<_>>>()
    })?;
    for part in written {
        text.push(b',');
        text.extend_from_slice(&part);
    }
    Ok(())
}

fn part(call: &Call, objects: &[Arc<Object>], text: &mut Vec<u8>) -> Answer<()> {
    let spec = spec_level(&call.entry.resource);
    for (index, object) in objects.iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        row(call, spec, object, text)?;
    }
    Ok(())
}

fn row(call: &Call, spec: Level, object: &Object, text: &mut Vec<u8>) -> Answer<()> {
    let broken = |error: serde_json::Error| {
        Failure::internal(format!("stored object {} is broken: {error}", object.key))
    };
    let outline = Outline::of(&object.bytes, spec).map_err(broken)?;
    let cells = columns::row(&call.entry.resource, &outline.shown, call.now);
    text.extend_from_slice(br#"{"cells":"#);
    serde_json::to_writer(&mut *text, &cells).map_err(broken)?;
    text.extend_from_slice(br#","object":"#);
    match call.query.get("includeObject") {
        Some("None") => text.extend_from_slice(b"null"),
        Some("Object") => text.extend_from_slice(&object.bytes),
        _ => {
            text.extend_from_slice(
                br#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":"#,
            );
            let metadata = outline.metadata.map_or("null", RawValue::get);
            text.extend_from_slice(metadata.as_bytes());
            text.push(b'}');
        }
    }
    text.push(b'}');
    Ok(())
}

/// Columns of custom resources may show everything of a spec.
fn spec_level(resource: &Resource) -> Level {
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "pods") => Level::Pod,
        ("" | "apps" | "batch", _) => Level::Spec,
        _ => Level::Plain,
    }
}

/// What cells are made from, and the metadata as it is stored.
struct Outline<'a> {
    shown: Value,
    metadata: Option<&'a RawValue>,
}

impl<'a> Outline<'a> {
    fn of(bytes: &'a [u8], spec: Level) -> serde_json::Result<Self> {
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let outline = reader.deserialize_map(Top { spec })?;
        reader.end()?;
        Ok(outline)
    }
}

/// The object itself, whose metadata is kept as text too.
struct Top {
    spec: Level,
}

impl<'de> Visitor<'de> for Top {
    type Value = Outline<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut metadata = None;
        let mut shown = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = match key.as_str() {
                "metadata" => {
                    let raw: &'de RawValue = map.next_value()?;
                    metadata = Some(raw);
                    let mut reader = serde_json::Deserializer::from_str(raw.get());
                    Shown(Level::Metadata)
                        .deserialize(&mut reader)
                        .map_err(A::Error::custom)?
                }
                "spec" => map.next_value_seed(Shown(self.spec))?,
                _ => map.next_value_seed(Shown(Level::Plain))?,
            };
            shown.insert(key, value);
        }
        Ok(Outline {
            shown: Value::Object(shown),
            metadata,
        })
    }
}

/// A value without what is never shown.
#[derive(Clone, Copy)]
struct Shown(Level);

impl<'de> DeserializeSeed<'de> for Shown {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Shown {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut shown = Map::new();
        while let Some(member) = map.next_key_seed(Member(self.0))? {
            match member {
                Some((name, level)) => {
                    shown.insert(name, map.next_value_seed(Self(level))?);
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Value::Object(shown))
    }
}

/// The name of a member and its level, or nothing if it is not shown.
struct Member(Level);

impl<'de> DeserializeSeed<'de> for Member {
    type Value = Option<(String, Level)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Member {
    type Value = Option<(String, Level)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.member(name).map(|level| (name.to_owned(), level)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const POD: &str = r#"{"kind":"Pod","metadata":{"name":"web","managedFields":[{"a":1}],"labels":{"env":"x"}},"spec":{"volumes":[1,{"b":[]}],"containers":[{"name":"c","env":[]}]}}"#;

    #[test]
    fn what_no_cell_shows_is_left_out_and_the_metadata_is_as_stored() {
        let outline = Outline::of(POD.as_bytes(), Level::Pod).unwrap();
        assert_eq!(
            outline.shown,
            json!({
                "kind": "Pod", "metadata": {"name": "web", "labels": {"env": "x"}},
                "spec": {"containers": [{"name": "c"}]},
            })
        );
        let metadata: Value = serde_json::from_str(outline.metadata.unwrap().get()).unwrap();
        let stored: Value = serde_json::from_str(POD).unwrap();
        assert_eq!(metadata, stored["metadata"]);
    }

    #[test]
    fn names_that_mean_something_in_a_pod_are_kept_elsewhere() {
        let map = br#"{"data":{"env":"a","managedFields":"b","volumes":"c"}}"#;
        let outline = Outline::of(map, Level::Spec).unwrap();
        assert_eq!(outline.shown, serde_json::from_slice::<Value>(map).unwrap());
        let custom = br#"{"spec":{"template":{"spec":{"volumes":["c"]}}}}"#;
        let outline = Outline::of(custom, Level::Plain).unwrap();
        assert_eq!(outline.shown["spec"]["template"]["spec"]["volumes"][0], "c");
    }

    #[test]
    fn a_broken_object_is_an_error() {
        for broken in [&br#"{"metadata":{}"#[..], br#"{"metadata":{}} x"#, b"[]"] {
            assert!(Outline::of(broken, Level::Plain).is_err());
        }
    }
}
