//! What pages use of autoscalers, disruption budgets, leases and events.

use jiff::Timestamp;
use kube::core::DynamicObject;
use serde_json::Value;

use super::{int, text, time};

/// An autoscaler: it owns the count of its target.
#[derive(Debug, Clone)]
pub(crate) struct Autoscaler {
    pub(crate) namespace: String,
    pub(crate) target: (String, String),
    pub(crate) min: i64,
    pub(crate) max: i64,
}

pub(crate) fn autoscaler(object: &DynamicObject) -> Autoscaler {
    let data = &object.data;
    Autoscaler {
        namespace: object.metadata.namespace.clone().unwrap_or_default(),
        target: (
            text(data, "/spec/scaleTargetRef/kind"),
            text(data, "/spec/scaleTargetRef/name"),
        ),
        min: int(data, "/spec/minReplicas").unwrap_or(1),
        max: int(data, "/spec/maxReplicas").unwrap_or(0),
    }
}

/// How many pods may leave at once.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) allowed: i64,
    pub(crate) labels: Vec<(String, String)>,
}

impl Budget {
    /// Whether it protects a pod with these labels.
    pub(crate) fn covers(&self, namespace: &str, labels: &[(String, String)]) -> bool {
        self.namespace == namespace && self.labels.iter().all(|label| labels.contains(label))
    }
}

pub(crate) fn budget(object: &DynamicObject) -> Budget {
    let data = &object.data;
    let labels = data
        .pointer("/spec/selector/matchLabels")
        .and_then(Value::as_object);
    Budget {
        namespace: object.metadata.namespace.clone().unwrap_or_default(),
        name: object.metadata.name.clone().unwrap_or_default(),
        allowed: int(data, "/status/disruptionsAllowed").unwrap_or(0),
        labels: labels
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect(),
    }
}

/// When a node last said that it is alive.
pub(crate) fn lease(object: &DynamicObject) -> Option<Timestamp> {
    time(&object.data, "/spec/renewTime")
}

/// One event, before it is folded with others of its cause.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) uid: String,
    pub(crate) namespace: String,
    /// `Pod/web-1`.
    pub(crate) object: (String, String),
    pub(crate) warning: bool,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) count: i64,
    pub(crate) first: Option<Timestamp>,
    pub(crate) last: Option<Timestamp>,
    pub(crate) node: String,
}

pub(crate) fn event(object: &DynamicObject) -> Event {
    let data = &object.data;
    let created = super::created(object);
    let series = data.get("series");
    let count = series
        .and_then(|series| int(series, "/count"))
        .or_else(|| int(data, "/count"));
    let last = series.and_then(|series| time(series, "/lastObservedTime"));
    let about = if data.get("involvedObject").is_some() {
        "/involvedObject"
    } else {
        "/regarding"
    };
    let message = text(data, "/message");
    Event {
        uid: object.metadata.uid.clone().unwrap_or_default(),
        namespace: object.metadata.namespace.clone().unwrap_or_default(),
        object: (
            text(data, &format!("{about}/kind")),
            text(data, &format!("{about}/name")),
        ),
        warning: data["type"] == "Warning",
        reason: text(data, "/reason"),
        message: if message.is_empty() {
            text(data, "/note")
        } else {
            message
        },
        count: count.unwrap_or(1).max(1),
        first: time(data, "/firstTimestamp")
            .or_else(|| time(data, "/eventTime"))
            .or(created),
        last: last
            .or_else(|| time(data, "/lastTimestamp"))
            .or_else(|| time(data, "/eventTime"))
            .or(created),
        node: text(data, "/source/host"),
    }
}
