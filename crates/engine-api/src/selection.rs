//! Which stored objects a list or watch is about.

use foreshore_engine_store::{Facts, Object};
use serde_json::Value;

use crate::call::Call;
use crate::catalog::Entry;
use crate::selector::{FieldSelector, LabelSelector};
use crate::status::{Answer, Failure};

/// Fields of the stored form that selectors may name, beside name and namespace.
const POD: &[&str] = &[
    "spec.hostNetwork",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "status.nominatedNodeName",
    "status.phase",
    "status.podIP",
];
const EVENT: &[&str] = &[
    "involvedObject.apiVersion",
    "involvedObject.fieldPath",
    "involvedObject.kind",
    "involvedObject.name",
    "involvedObject.namespace",
    "involvedObject.resourceVersion",
    "involvedObject.uid",
    "reason",
    "reportingComponent",
    "source",
    "type",
];

fn selectable(rows: &str) -> &'static [&'static str] {
    match rows {
        "pods" => POD,
        "events" => EVENT,
        "nodes" => &["spec.unschedulable"],
        "secrets" => &["type"],
        "namespaces" => &["status.phase"],
        "services" => &["spec.clusterIP", "spec.type"],
        "replicasets.apps" => &["status.replicas"],
        "jobs.batch" => &["status.successful"],
        _ => &[],
    }
}

/// Prefix that keeps labels apart from fields among an object's facts.
const LABEL: char = 'l';
const FIELD: char = 'f';

/// Works out what selectors may look at.
fn extract(object: &Object) -> Facts {
    let Ok(value) = serde_json::from_slice::<Value>(&object.bytes) else {
        return Facts::default();
    };
    let labels = value.pointer("/metadata/labels").and_then(Value::as_object);
    let labels = labels.into_iter().flatten().map(|(key, value)| {
        (
            format!("{LABEL}{key}").into(),
            value.as_str().unwrap_or_default().into(),
        )
    });
    let fields = selectable(object.key.resource.as_str())
        .iter()
        .map(|field| {
            (
                format!("{FIELD}{field}").into(),
                field_text(&value, field).into(),
            )
        });
    labels.chain(fields).collect()
}

fn field_text(value: &Value, field: &str) -> String {
    // An event's source is shown by its component, as the real server does.
    let pointer = match field {
        "source" => "/source/component".to_owned(),
        field => format!("/{}", field.replace('.', "/")),
    };
    match value.pointer(&pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(other @ (Value::Bool(_) | Value::Number(_))) => other.to_string(),
        _ => match field {
            "spec.unschedulable" | "spec.hostNetwork" => "false".to_owned(),
            "status.replicas" | "status.successful" => "0".to_owned(),
            _ => String::new(),
        },
    }
}

fn fact<'a>(object: &'a Object, kind: char, name: &str) -> Option<&'a str> {
    let facts = object.facts(extract);
    let found = facts
        .iter()
        .find(|(key, _)| key.strip_prefix(kind) == Some(name));
    found.map(|(_, value)| &**value)
}

/// What a list or watch asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    labels: LabelSelector,
    fields: FieldSelector,
}

impl Selection {
    pub(crate) fn of(call: &Call) -> Answer<Self> {
        let labels = call
            .query
            .get("labelSelector")
            .map(LabelSelector::parse)
            .transpose()?;
        let fields = call
            .query
            .get("fieldSelector")
            .map(FieldSelector::parse)
            .transpose()?;
        let mut fields = fields.unwrap_or_default();
        for term in &mut fields.0 {
            term.field = known_field(&call.entry, &term.field)?;
        }
        Ok(Self {
            labels: labels.unwrap_or_default(),
            fields,
        })
    }

    /// Whether everything is asked for.
    pub(crate) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.0.is_empty()
    }

    /// The one name asked for, if the fields fix it.
    pub(crate) fn name(&self) -> Option<&str> {
        self.fields.required("metadata.name")
    }

    /// The one namespace asked for, if the fields fix it.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.fields.required("metadata.namespace")
    }

    pub(crate) fn matches(&self, object: &Object) -> bool {
        self.fields.matches(|field| match field {
            "metadata.name" => Some(&*object.key.name),
            "metadata.namespace" => Some(&*object.key.namespace),
            field => fact(object, FIELD, field),
        }) && (self.labels.is_empty() || self.labels.matches(|key| fact(object, LABEL, key)))
    }
}

/// The stored name of a field, if selectors may name it.
fn known_field(entry: &Entry, field: &str) -> Answer<String> {
    let stored = match (entry.is_verbatim(), field.strip_prefix("regarding.")) {
        (false, Some(rest)) => format!("involvedObject.{rest}"),
        (false, None) if field == "reportingController" => "reportingComponent".to_owned(),
        _ => field.to_owned(),
    };
    let known = matches!(field, "metadata.name" | "metadata.namespace")
        || selectable(entry.rows.as_str()).contains(&stored.as_str());
    if known {
        return Ok(stored);
    }
    Err(Failure::bad_request(
        match selectable(entry.rows.as_str()) {
            [] => format!(
                "{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
            ),
            _ => format!("field label not supported: {field}"),
        },
    ))
}
