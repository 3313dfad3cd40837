//! The changes a controller may ask for, as data that can be printed, compared
//! and refused.

use std::borrow::Cow;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{Metadata, Resource};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// A kind of object and the path segment the API serves it under.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind {
    pub api_version: Cow<'static, str>,
    pub kind: Cow<'static, str>,
    pub plural: Cow<'static, str>,
}

impl Kind {
    /// The kind of a typed object.
    pub fn of<K: Resource>() -> Self {
        Self {
            api_version: K::API_VERSION.into(),
            kind: K::KIND.into(),
            plural: K::URL_PATH_SEGMENT.into(),
        }
    }
}

/// One object by kind and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    pub kind: Kind,
    pub namespace: Option<String>,
    pub name: String,
}

impl Target {
    /// Names the object that `object` is a copy of.
    pub fn of<K: Resource + Metadata<Ty = ObjectMeta>>(object: &K) -> Self {
        let meta = object.metadata();
        Self {
            kind: Kind::of::<K>(),
            namespace: meta.namespace.clone(),
            name: meta.name.clone().unwrap_or_default(),
        }
    }
}

/// The part of an object a patch is sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Main,
    Status,
    Scale,
}

/// What happens to the dependents of a deleted object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    Background,
    Foreground,
    Orphan,
}

/// How an event is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    Normal,
    Warning,
}

/// One step a controller asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Creates an object. With `announce`, success and failure are told as
    /// events (`SuccessfulCreate`, `FailedCreate`) on that object.
    Create {
        kind: Kind,
        namespace: Option<String>,
        body: Value,
        announce: Option<Box<ObjectReference>>,
    },
    /// Sends a JSON merge patch; `metadata.uid` and, where the patch is not
    /// commutative, `metadata.resourceVersion` inside `body` are preconditions.
    Patch {
        target: Target,
        part: Part,
        body: Value,
    },
    /// Deletes an object if it still has this uid (and resource version).
    Delete {
        target: Target,
        uid: String,
        resource_version: Option<String>,
        propagation: Option<Propagation>,
        grace_seconds: Option<i64>,
        announce: Option<Box<ObjectReference>>,
    },
    /// Reads the object from the API, not from a cache, and gives up the rest
    /// of the changes unless it still has this uid and is not being deleted.
    ConfirmLive { target: Target, uid: String },
    /// Reads the object from the API and gives up the rest of the changes if
    /// it still exists with this uid.
    ConfirmGone { target: Target, uid: String },
    /// Removes the finalizer of a namespace, after the API was asked once more
    /// whether anything is left inside.
    FinalizeNamespace { target: Target, uid: String },
    /// Records an event.
    Event {
        regarding: Box<ObjectReference>,
        kind: EventKind,
        reason: &'static str,
        message: String,
    },
    /// Asks to be decided again after this time, whatever happens until then.
    Requeue { after: Duration },
}

impl Change {
    /// Returns the patch of the main part that turns `old` into `new`, if they differ.
    ///
    /// It carries uid and resource version, so it is refused when `old` is stale.
    pub fn update<K>(old: &K, new: &K) -> Option<Self>
    where
        K: Resource + Metadata<Ty = ObjectMeta> + Serialize,
    {
        Self::patch(old, new, Part::Main)
    }

    /// Returns the patch of the status that turns `old` into `new`, if they differ.
    ///
    /// The API leaves zero counts and empty lists out of many statuses, so
    /// these are equal to absent ones.
    pub fn update_status<K>(old: &K, new: &K) -> Option<Self>
    where
        K: Resource + Metadata<Ty = ObjectMeta> + Serialize,
    {
        let status = |object: &K| settled(to_value(object).get("status"));
        let meta = |object: &K| object.metadata().annotations.clone();
        if status(old) == status(new) && meta(old) == meta(new) {
            return None;
        }
        Self::patch(old, new, Part::Status)
    }

    fn patch<K>(old: &K, new: &K, part: Part) -> Option<Self>
    where
        K: Resource + Metadata<Ty = ObjectMeta> + Serialize,
    {
        let mut body = difference(&to_value(old), &to_value(new))?;
        let meta = old.metadata();
        let preconditions = body
            .as_object_mut()
            .expect("two objects differ by an object")
            .entry("metadata")
            .or_insert_with(|| json!({}));
        preconditions["uid"] = json!(meta.uid);
        preconditions["resourceVersion"] = json!(meta.resource_version);
        Some(Self::Patch {
            target: Target::of(old),
            part,
            body,
        })
    }

    /// Returns the change that creates `object`.
    pub fn create<K>(object: &K, announce: Option<ObjectReference>) -> Self
    where
        K: Resource + Metadata<Ty = ObjectMeta> + Serialize,
    {
        Self::Create {
            kind: Kind::of::<K>(),
            namespace: object.metadata().namespace.clone(),
            body: to_value(object),
            announce: announce.map(Box::new),
        }
    }

    /// Returns the change that deletes `object` in the background.
    pub fn delete<K>(object: &K, announce: Option<ObjectReference>) -> Self
    where
        K: Resource + Metadata<Ty = ObjectMeta>,
    {
        Self::Delete {
            target: Target::of(object),
            uid: uid(object).to_owned(),
            resource_version: None,
            propagation: Some(Propagation::Background),
            grace_seconds: None,
            announce: announce.map(Box::new),
        }
    }

    /// Asks to be decided again a moment after `at`.
    pub fn requeue_at(at: Timestamp, now: Timestamp) -> Self {
        let wait = at.duration_since(now) + SignedDuration::from_millis(1);
        Self::Requeue {
            after: Duration::try_from(wait).unwrap_or_default(),
        }
    }

    /// Returns an event about `object`.
    pub fn event<K>(object: &K, kind: EventKind, reason: &'static str, message: String) -> Self
    where
        K: Resource + Metadata<Ty = ObjectMeta>,
    {
        Self::Event {
            regarding: Box::new(reference(object)),
            kind,
            reason,
            message,
        }
    }
}

/// Returns the reference events and endpoints use to point at `object`.
pub(crate) fn reference<K>(object: &K) -> ObjectReference
where
    K: Resource + Metadata<Ty = ObjectMeta>,
{
    let meta = object.metadata();
    ObjectReference {
        api_version: Some(K::API_VERSION.to_owned()),
        kind: Some(K::KIND.to_owned()),
        name: meta.name.clone(),
        namespace: meta.namespace.clone(),
        uid: meta.uid.clone(),
        resource_version: meta.resource_version.clone(),
        field_path: None,
    }
}

/// The uid of a stored object; empty for one that was never stored.
pub(crate) fn uid<K: Metadata<Ty = ObjectMeta>>(object: &K) -> &str {
    object.metadata().uid.as_deref().unwrap_or_default()
}

/// The name of a stored object.
pub(crate) fn name<K: Metadata<Ty = ObjectMeta>>(object: &K) -> &str {
    object.metadata().name.as_deref().unwrap_or_default()
}

fn to_value<K: Serialize>(object: &K) -> Value {
    serde_json::to_value(object).expect("Kubernetes types have string keys only")
}

/// Returns the value without zero counts, empty lists and empty objects.
fn settled(value: Option<&Value>) -> Option<Value> {
    match value? {
        Value::Null => None,
        Value::Number(number) if number.as_i64() == Some(0) => None,
        Value::Array(list) if list.is_empty() => None,
        Value::Object(fields) => {
            let kept: Map<String, Value> = fields
                .iter()
                .filter_map(|(key, field)| Some((key.clone(), settled(Some(field))?)))
                .collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        other => Some(other.clone()),
    }
}

/// Returns the JSON merge patch from `old` to `new`; none when they are equal.
fn difference(old: &Value, new: &Value) -> Option<Value> {
    if old == new {
        return None;
    }
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        return Some(new.clone());
    };
    let mut patch = Map::new();
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in new {
        match old.get(key) {
            Some(before) => {
                if let Some(change) = difference(before, value) {
                    patch.insert(key.clone(), change);
                }
            }
            None => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    Some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(old: &Value, new: &Value, expected: Option<&Value>) {
        assert_eq!(difference(old, new).as_ref(), expected);
    }

    #[test]
    fn equal_objects_need_no_patch() {
        check(&json!({"a": {"b": [1]}}), &json!({"a": {"b": [1]}}), None);
    }

    #[test]
    fn a_zero_count_and_an_empty_list_are_as_good_as_absent() {
        let status = json!({"replicas": 0, "conditions": [], "nested": {"failed": 0}});
        assert_eq!(settled(Some(&status)), None);
        let status = json!({"replicas": 1, "ready": 0});
        assert_eq!(settled(Some(&status)), Some(json!({"replicas": 1})));
    }

    #[test]
    fn a_removed_field_is_nulled_and_a_list_is_replaced_whole() {
        check(
            &json!({"a": 1, "b": {"c": [1, 2], "d": 1}}),
            &json!({"b": {"c": [2], "d": 1}}),
            Some(&json!({"a": null, "b": {"c": [2]}})),
        );
    }
}
