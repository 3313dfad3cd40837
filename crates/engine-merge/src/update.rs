//! Ownership after a write that is not an apply: whoever changed a field owns it.

use foreshore_engine_schema::{TypeRef, conform};
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::compare::{Comparison, compare};
use crate::field_set::FieldSet;
use crate::managed::{
    Entry, Key, Managed, Manager, Operation, decode, encode, seconds, spell_time, stripped,
};

/// More update entries than this are merged, oldest first.
const UPDATE_MANAGERS_MAX: usize = 10;

/// A finished write whose ownership is to be recorded.
#[derive(Debug, Clone, Copy)]
pub struct UpdateRequest<'a> {
    pub type_ref: TypeRef<'a>,
    /// `None` for a create.
    pub live: Option<&'a Value>,
    /// The object to be stored: patched, conformed, defaulted.
    pub new: &'a Value,
    pub manager: &'a Manager,
    pub now: Timestamp,
    /// Paths this endpoint does not write, such as `status` on the main resource.
    pub reset: &'a FieldSet,
}

/// Returns `new` with its `managedFields` brought up to date.
///
/// `managedFields` of the request win over the live ones (an empty list resets
/// them) unless the write goes to a subresource.
pub fn update(request: UpdateRequest<'_>) -> Value {
    let UpdateRequest {
        type_ref,
        live,
        new,
        manager,
        now,
        reset,
    } = request;
    let creates = live
        .and_then(|live| live.pointer("/metadata/uid"))
        .is_none();
    let empty = empty_object(type_ref);
    let live = live.unwrap_or(&empty);
    let mut object = stripped(new);
    let mut managed = starting_point(live, new, manager);
    // Objects that were never tracked stay so until the first apply.
    if managed.is_empty() && !creates {
        return object;
    }
    let before = stripped(live);
    attribute(
        Write {
            type_ref,
            old: &before,
            new: &object,
            manager,
            now,
            reset,
        },
        &mut managed,
    );
    encode(&mut object, &managed);
    object
}

/// The entries to start from.
fn starting_point(live: &Value, new: &Value, manager: &Manager) -> Managed {
    let from_live = || decode(live).unwrap_or_default();
    if !manager.subresource.is_empty() {
        return from_live();
    }
    let requested = new
        .pointer("/metadata/managedFields")
        .and_then(Value::as_array);
    if requested.is_some_and(|entries| {
        entries.is_empty()
            || matches!(entries.as_slice(), [Value::Object(entry)] if entry.is_empty())
    }) {
        return Managed::new();
    }
    decode(new)
        .filter(|managed| !managed.is_empty())
        .unwrap_or_else(from_live)
}

/// An object of the type with nothing in it, as the server starts creating from.
pub(crate) fn empty_object(type_ref: TypeRef<'_>) -> Value {
    let mut object = Value::Object(Map::new());
    conform(type_ref, &mut object);
    object
}

/// One change from old to new (both without entries).
#[derive(Clone, Copy)]
pub(crate) struct Write<'a> {
    pub(crate) type_ref: TypeRef<'a>,
    pub(crate) old: &'a Value,
    pub(crate) new: &'a Value,
    pub(crate) manager: &'a Manager,
    pub(crate) now: Timestamp,
    pub(crate) reset: &'a FieldSet,
}

/// Gives what changed to the writer and takes it from everyone else.
pub(crate) fn attribute(write: Write<'_>, managed: &mut Managed) {
    let comparison = compare(write.type_ref, write.old, write.new).without(write.reset);
    disown(managed, None, &comparison);
    let gained = comparison
        .added
        .union(&comparison.modified)
        .recursive_difference(write.reset)
        .difference(&never_owned());
    if !gained.is_empty() {
        let key = Key::new(write.manager, Operation::Update);
        let set = managed
            .get(&key)
            .map_or_else(|| gained.clone(), |entry| entry.set.union(&gained));
        managed.insert(
            key,
            Entry {
                api_version: write.manager.api_version.clone(),
                set,
                time: Some(spell_time(write.now)),
            },
        );
    }
    cap(managed);
}

/// Takes changed and removed paths from every manager but `except`.
pub(crate) fn disown(managed: &mut Managed, except: Option<&Key>, comparison: &Comparison) {
    let changed = comparison
        .modified
        .union(&comparison.added)
        .union(&comparison.removed);
    managed.retain(|key, entry| {
        if Some(key) != except {
            entry.set = entry.set.difference(&changed);
        }
        !entry.set.is_empty()
    });
}

/// Fields that belong to the server itself.
pub(crate) fn never_owned() -> FieldSet {
    FieldSet::of_fields(&[
        &["apiVersion"],
        &["kind"],
        &["metadata"],
        &["metadata", "name"],
        &["metadata", "namespace"],
        &["metadata", "creationTimestamp"],
        &["metadata", "selfLink"],
        &["metadata", "uid"],
        &["metadata", "clusterName"],
        &["metadata", "generation"],
        &["metadata", "managedFields"],
        &["metadata", "resourceVersion"],
    ])
}

/// Merges the oldest update entries of a version into one bucket.
fn cap(managed: &mut Managed) {
    let mut updaters: Vec<Key> = managed
        .keys()
        .filter(|key| key.operation == Operation::Update)
        .cloned()
        .collect();
    let mut length = updaters.len();
    if length <= UPDATE_MANAGERS_MAX {
        return;
    }
    updaters.sort_by_key(|key| (seconds(managed[key].time.as_deref()), key.clone()));
    let mut first_of_version: Vec<(String, Key)> = Vec::new();
    for key in updaters {
        if length <= UPDATE_MANAGERS_MAX {
            break;
        }
        let version = key.api_version.clone();
        let Some((_, first)) = first_of_version
            .iter()
            .find(|(known, _)| *known == version)
            .cloned()
        else {
            first_of_version.push((version, key));
            continue;
        };
        let bucket = Key {
            name: "ancient-changes".to_owned(),
            operation: Operation::Update,
            api_version: version,
            subresource: String::new(),
        };
        if !managed.contains_key(&bucket)
            && let Some(entry) = managed.remove(&first)
        {
            managed.insert(bucket.clone(), entry);
        }
        if let (Some(old), Some(kept)) = (managed.remove(&key), managed.get_mut(&bucket)) {
            kept.set = kept.set.union(&old.set);
            kept.time = old.time;
            length -= 1;
        }
    }
}
