//! From whole Kubernetes objects to the few fields that pages show.
//!
//! Everything else of an object is dropped as it arrives, so that thousands of
//! pods stay small in memory.

pub(crate) mod node;
pub(crate) mod other;
pub(crate) mod pod;
pub(crate) mod workload;

use foreshore_engine_schema::Quantity;
use jiff::Timestamp;
use kube::core::DynamicObject;
use serde_json::Value;

use crate::text::{LENGTH_MAX, harmless};

/// `namespace/name`, or the name alone.
pub(crate) fn key(object: &DynamicObject) -> String {
    let name = object.metadata.name.as_deref().unwrap_or_default();
    match &object.metadata.namespace {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.to_owned(),
    }
}

pub(crate) fn label(object: &DynamicObject, name: &str) -> Option<String> {
    let labels = object.metadata.labels.as_ref()?;
    labels.get(name).map(|value| short(value))
}

/// The object that made this one: kind and name.
pub(crate) fn controller(object: &DynamicObject) -> Option<(String, String)> {
    let owners = object.metadata.owner_references.as_ref()?;
    let owner = owners.iter().find(|owner| owner.controller == Some(true))?;
    Some((owner.kind.clone(), owner.name.clone()))
}

pub(crate) fn created(object: &DynamicObject) -> Option<Timestamp> {
    object
        .metadata
        .creation_timestamp
        .as_ref()
        .map(|time| time.0)
}

/// A text at a JSON pointer, without its end if it is very long.
pub(crate) fn text(value: &Value, pointer: &str) -> String {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .map_or_else(String::new, short)
}

pub(crate) fn int(value: &Value, pointer: &str) -> Option<i64> {
    value.pointer(pointer).and_then(Value::as_i64)
}

pub(crate) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

pub(crate) fn time(value: &Value, pointer: &str) -> Option<Timestamp> {
    crate::age::parse(value.pointer(pointer).and_then(Value::as_str))
}

/// What is kept of a text that anybody may have written.
pub(crate) fn short(text: &str) -> String {
    harmless(text, LENGTH_MAX)
}

/// Thousandths of a core, or of a byte; zero if it is not given or cannot be read.
pub(crate) fn millis(value: Option<&Value>) -> i64 {
    let text = match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => return 0,
    };
    Quantity::parse(&text).map_or(0, |quantity| {
        i64::try_from(quantity.millis()).unwrap_or(i64::MAX)
    })
}

pub(crate) fn bytes(value: Option<&Value>) -> i64 {
    millis(value) / 1_000
}
