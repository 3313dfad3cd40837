//! Reading a Kubernetes object that is a plain JSON value.

use std::time::Duration;

use foreshore_model::outcome::Cause;
use jiff::Timestamp;
use serde_json::Value;

/// A borrowed object with the accessors the rules need.
///
/// A field of the wrong type reads as absent: a rule then answers as for an
/// object whose controller has not written it yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Object<'a>(pub(crate) &'a Value);

/// One entry of `status.conditions`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Condition<'a> {
    pub(crate) status: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) message: &'a str,
    pub(crate) observed_generation: Option<i64>,
    pub(crate) since: Option<Timestamp>,
}

impl Condition<'_> {
    pub(crate) fn is_true(&self) -> bool {
        self.status == "True"
    }

    pub(crate) fn is_false(&self) -> bool {
        self.status == "False"
    }

    /// Whether it has had this status for at least `least`.
    pub(crate) fn lasts(&self, now: Timestamp, least: Duration) -> bool {
        self.since.is_some_and(|since| age(since, now) >= least)
    }
}

/// Returns how long ago `since` was, zero for the future.
pub(crate) fn age(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or(Duration::ZERO)
}

impl<'a> Object<'a> {
    pub(crate) fn text(self, pointer: &str) -> Option<&'a str> {
        self.0.pointer(pointer).and_then(Value::as_str)
    }

    pub(crate) fn int(self, pointer: &str) -> Option<i64> {
        self.0.pointer(pointer).and_then(Value::as_i64)
    }

    /// Returns a count; absent means zero, as Kubernetes omits zeroes.
    pub(crate) fn count(self, pointer: &str) -> i64 {
        self.int(pointer).unwrap_or(0)
    }

    pub(crate) fn flag(self, pointer: &str) -> bool {
        self.0
            .pointer(pointer)
            .and_then(Value::as_bool)
            .unwrap_or(false)
    }

    pub(crate) fn list(self, pointer: &str) -> &'a [Value] {
        self.0
            .pointer(pointer)
            .and_then(Value::as_array)
            .map_or(&[], Vec::as_slice)
    }

    pub(crate) fn time(self, pointer: &str) -> Option<Timestamp> {
        self.text(pointer).and_then(|text| text.parse().ok())
    }

    pub(crate) fn has(self, pointer: &str) -> bool {
        self.0
            .pointer(pointer)
            .is_some_and(|value| !value.is_null())
    }

    pub(crate) fn kind(self) -> &'a str {
        self.text("/kind").unwrap_or_default()
    }

    pub(crate) fn group(self) -> &'a str {
        let api_version = self.text("/apiVersion").unwrap_or_default();
        api_version.split_once('/').map_or("", |(group, _)| group)
    }

    pub(crate) fn name(self) -> &'a str {
        self.text("/metadata/name").unwrap_or_default()
    }

    pub(crate) fn uid(self) -> &'a str {
        self.text("/metadata/uid").unwrap_or_default()
    }

    pub(crate) fn annotation(self, key: &str) -> Option<&'a str> {
        self.0
            .get("metadata")?
            .get("annotations")?
            .get(key)?
            .as_str()
    }

    pub(crate) fn label(self, key: &str) -> Option<&'a str> {
        self.0.get("metadata")?.get("labels")?.get(key)?.as_str()
    }

    pub(crate) fn is_terminating(self) -> bool {
        self.has("/metadata/deletionTimestamp")
    }

    /// Whether the object is controlled by the one with this uid.
    pub(crate) fn is_controlled_by(self, uid: &str) -> bool {
        !uid.is_empty()
            && self
                .list("/metadata/ownerReferences")
                .iter()
                .map(Object)
                .any(|owner| owner.flag("/controller") && owner.text("/uid") == Some(uid))
    }

    pub(crate) fn condition(self, kind: &str) -> Option<Condition<'a>> {
        let found = self.list("/status/conditions").iter().map(Object);
        let found = found
            .into_iter()
            .find(|condition| condition.text("/type") == Some(kind))?;
        Some(Condition {
            status: found.text("/status").unwrap_or_default(),
            reason: found.text("/reason").unwrap_or_default(),
            message: found.text("/message").unwrap_or_default(),
            observed_generation: found.int("/observedGeneration"),
            since: found.time("/lastTransitionTime"),
        })
    }

    /// Returns the condition if it is true.
    pub(crate) fn met(self, kind: &str) -> Option<Condition<'a>> {
        self.condition(kind).filter(Condition::is_true)
    }

    /// Returns the condition if it is false, not merely unknown.
    pub(crate) fn unmet(self, kind: &str) -> Option<Condition<'a>> {
        self.condition(kind).filter(Condition::is_false)
    }

    pub(crate) fn has_conditions(self) -> bool {
        !self.list("/status/conditions").is_empty()
    }

    /// Makes a cause that names this object.
    pub(crate) fn cause(self, reason: &str, message: impl Into<String>) -> Cause {
        Cause {
            object: format!("{}/{}", self.kind(), self.name()),
            container: None,
            reason: reason.to_owned(),
            message: message.into(),
            exit_code: None,
            log: Vec::new(),
        }
    }
}
