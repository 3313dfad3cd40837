//! Objects that are served in more than one group: one set of stored objects,
//! several spellings.

use serde_json::{Map, Value, json};

use crate::resource::Resource;

mod autoscaler;

pub(crate) use autoscaler::to_v2 as autoscaler_to_v2;

/// Field of `v1` events and of `events.k8s.io/v1` events that mean the same.
const EVENT_FIELDS: &[(&str, &str)] = &[
    ("count", "deprecatedCount"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("involvedObject", "regarding"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
];

impl Resource {
    /// The group, version and plural under which its objects are stored: its own
    /// for all but the second spelling of a kind.
    pub fn storage(&self) -> (&str, &str, &str) {
        if self.group == "events.k8s.io" {
            ("", "v1", "events")
        } else if self.group == "autoscaling" && self.version == "v1" {
            ("autoscaling", "v2", &self.plural)
        } else {
            (&self.group, &self.version, &self.plural)
        }
    }
}

/// Rewrites an object of resource `from` as one of resource `to`, which shares
/// its storage.
pub fn convert(object: &mut Value, from: &Resource, to: &Resource) {
    if let Some(fields) = object
        .as_object_mut()
        .filter(|_| from.kind == "Event" && from.group != to.group)
    {
        convert_event(fields, to.group.is_empty());
    }
    if from.kind == "HorizontalPodAutoscaler" && from.version != to.version {
        if to.version == "v2" {
            autoscaler::to_v2(object);
        } else {
            autoscaler::to_v1(object);
        }
    }
    object["apiVersion"] = json!(to.api_version());
    object["kind"] = json!(to.kind);
}

/// Rewrites the fields of an event.
pub(crate) fn convert_event(fields: &mut Map<String, Value>, to_core: bool) {
    for (core, events) in EVENT_FIELDS {
        let (old, new) = if to_core {
            (events, core)
        } else {
            (core, events)
        };
        if let Some(value) = fields.remove(*old) {
            fields.insert((*new).to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Schema;

    #[test]
    fn events_survive_both_directions() {
        let schema = Schema::builtin();
        let (core, events) = (
            schema.resource("", "v1", "events").unwrap(),
            schema.resource("events.k8s.io", "v1", "events").unwrap(),
        );
        let original = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "a"}, "involvedObject": {"kind": "Pod"}, "message": "m", "count": 3, "reportingComponent": "k", "type": "Normal"});
        let mut object = original.clone();
        convert(&mut object, core, events);
        assert_eq!(object["note"], json!("m"));
        assert_eq!(object["regarding"], json!({"kind": "Pod"}));
        assert_eq!(object["apiVersion"], json!("events.k8s.io/v1"));
        assert!(object.get("message").is_none());
        convert(&mut object, events, core);
        assert_eq!(object, original);
        assert_eq!(events.storage(), core.storage());
    }
}
