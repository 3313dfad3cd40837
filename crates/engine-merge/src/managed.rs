//! `metadata.managedFields`: who owns which paths, read and written.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use crate::field_set::FieldSet;

/// How a manager writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    Apply,
    Update,
}

/// Who writes, as the request says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manager {
    /// The request's `fieldManager`, or the first part of its user agent.
    pub name: String,
    /// Of the request's path, for example `apps/v1`.
    pub api_version: String,
    /// Empty for the resource itself.
    pub subresource: String,
}

/// Identity of an entry: an applier is the same whatever version it uses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) operation: Operation,
    /// Empty for appliers.
    pub(crate) api_version: String,
    pub(crate) subresource: String,
}

impl Key {
    pub(crate) fn new(manager: &Manager, operation: Operation) -> Self {
        let name = if manager.name.is_empty() {
            "unknown"
        } else {
            &manager.name
        };
        let api_version = if operation == Operation::Update {
            manager.api_version.clone()
        } else {
            String::new()
        };
        Self {
            name: name.to_owned(),
            operation,
            api_version,
            subresource: manager.subresource.clone(),
        }
    }

    /// As conflict messages name it.
    pub(crate) fn describe(&self) -> String {
        let subresource = if self.subresource.is_empty() {
            String::new()
        } else {
            format!(" with subresource {:?}", self.subresource)
        };
        let version = if self.operation == Operation::Update {
            format!(" using {}", self.api_version)
        } else {
            String::new()
        };
        format!("{:?}{subresource}{version}", self.name)
    }
}

/// What an entry owns.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) api_version: String,
    pub(crate) set: FieldSet,
    pub(crate) time: Option<String>,
}

/// All entries of an object.
pub(crate) type Managed = BTreeMap<Key, Entry>;

/// Reads an object's entries; `None` if they cannot be read as such.
pub(crate) fn decode(object: &Value) -> Option<Managed> {
    let mut managed = Managed::new();
    for entry in object
        .pointer("/metadata/managedFields")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let word = |key: &str| {
            entry
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let operation = match word("operation").as_str() {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return None,
        };
        let api_version = word("apiVersion");
        if api_version.is_empty() || word("fieldsType") != "FieldsV1" {
            return None;
        }
        let set = entry
            .get("fieldsV1")
            .filter(|fields| !fields.is_null())
            .map_or_else(|| Ok(FieldSet::default()), FieldSet::from_json)
            .ok()?;
        let key = Key {
            name: word("manager"),
            operation,
            api_version: if operation == Operation::Update {
                api_version.clone()
            } else {
                String::new()
            },
            subresource: word("subresource"),
        };
        let time = entry.get("time").and_then(Value::as_str).map(str::to_owned);
        managed.insert(
            key,
            Entry {
                api_version,
                set,
                time,
            },
        );
    }
    Some(managed)
}

/// Writes the entries into an object, or removes the field if there are none.
pub(crate) fn encode(object: &mut Value, managed: &Managed) {
    let mut sorted: Vec<(&Key, &Entry)> = managed.iter().collect();
    sorted.sort_by_key(|(key, entry)| {
        let order = (
            key.operation,
            seconds(entry.time.as_deref()),
            &key.name,
            &entry.api_version,
            &key.subresource,
        );
        (
            order.0,
            order.1,
            order.2.clone(),
            order.3.clone(),
            order.4.clone(),
        )
    });
    let entries: Vec<Value> = sorted
        .into_iter()
        .map(|(key, entry)| encode_entry(key, entry))
        .collect();
    let Some(object) = object.as_object_mut() else {
        return;
    };
    let metadata = object.entry("metadata").or_insert_with(|| json!({}));
    let Some(metadata) = metadata.as_object_mut() else {
        return;
    };
    if entries.is_empty() {
        metadata.remove("managedFields");
    } else {
        metadata.insert("managedFields".to_owned(), Value::Array(entries));
    }
}

fn encode_entry(key: &Key, entry: &Entry) -> Value {
    let operation = if key.operation == Operation::Apply {
        "Apply"
    } else {
        "Update"
    };
    let mut encoded = Map::new();
    encoded.insert("manager".to_owned(), json!(key.name));
    encoded.insert("operation".to_owned(), json!(operation));
    encoded.insert("apiVersion".to_owned(), json!(entry.api_version));
    encoded.insert("fieldsType".to_owned(), json!("FieldsV1"));
    encoded.insert("fieldsV1".to_owned(), entry.set.to_json());
    if let Some(time) = &entry.time {
        encoded.insert("time".to_owned(), json!(time));
    }
    if !key.subresource.is_empty() {
        encoded.insert("subresource".to_owned(), json!(key.subresource));
    }
    Value::Object(encoded)
}

/// The object without its entries.
pub(crate) fn stripped(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object
        .pointer_mut("/metadata")
        .and_then(Value::as_object_mut)
    {
        metadata.remove("managedFields");
    }
    object
}

pub(crate) fn seconds(time: Option<&str>) -> i64 {
    time.and_then(|time| time.parse::<Timestamp>().ok())
        .map_or(0, Timestamp::as_second)
}

pub(crate) fn spell_time(now: Timestamp) -> String {
    now.to_zoned(TimeZone::UTC)
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

/// Takes the live object's entries over if only their times differ and nothing
/// else changed, so that a write without effect stays without effect.
///
/// Call it last, after defaulting and admission. Returns whether it did so.
pub fn settle_timestamps(live: &Value, new: &mut Value) -> bool {
    let without_times = |object: &Value| {
        let mut object = object.clone();
        for entry in object
            .pointer_mut("/metadata/managedFields")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            if let Some(entry) = entry.as_object_mut() {
                entry.remove("time");
            }
        }
        object
    };
    let same = without_times(live) == without_times(new);
    if same {
        new.clone_from(live);
    }
    same
}
