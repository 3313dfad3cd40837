//! The rows of Tables: what `kubectl get` shows of an object, wide columns
//! included (the client leaves out what has a priority).

mod autoscaling;
mod core;
mod duration;
mod network;
mod pod;
mod selector;
mod storage;
mod workloads;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::custom;
use crate::resource::{Column, Resource};

pub use self::duration::human_duration;

/// The columns of a resource.
pub fn columns(resource: &Resource) -> &[Column] {
    &resource.columns
}

/// The cells of one object, one for each column.
pub fn row(resource: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
    if resource
        .columns
        .iter()
        .any(|column| column.json_path.is_some())
    {
        return custom::cells(resource, object, now);
    }
    let shown = Shown { object, now };
    let cells = match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "pods") => Some(pod::cells(shown)),
        ("", plural) => core::cells(plural, shown),
        ("events.k8s.io", "events") => core::converted_event(shown),
        ("apps" | "batch" | "policy", plural) => workloads::cells(plural, shown),
        ("storage.k8s.io" | "scheduling.k8s.io", plural) => storage::cells(plural, shown),
        ("autoscaling", _) => Some(autoscaling::cells(&resource.version, shown)),
        (_, plural) => network::cells(plural, shown),
    };
    cells.unwrap_or_else(|| generic(resource, shown))
}

/// Name and times are known of everything; the rest is left empty.
fn generic(resource: &Resource, shown: Shown<'_>) -> Vec<Value> {
    let cell = |column: &Column| match column.name.as_str() {
        "Name" => shown.name(),
        "Age" => shown.age(),
        "Created At" => shown.object["metadata"]["creationTimestamp"].clone(),
        _ => Value::Null,
    };
    if resource.columns.is_empty() {
        vec![shown.name()]
    } else {
        resource.columns.iter().map(cell).collect()
    }
}

/// An object and the moment it is looked at.
#[derive(Clone, Copy)]
struct Shown<'a> {
    object: &'a Value,
    now: Timestamp,
}

impl<'a> Shown<'a> {
    fn name(self) -> Value {
        self.object["metadata"]["name"].clone()
    }

    fn age(self) -> Value {
        json!(self.since(&self.object["metadata"]["creationTimestamp"]))
    }

    /// How long ago a time was.
    fn since(self, time: &Value) -> String {
        time.as_str()
            .and_then(|time| time.parse::<Timestamp>().ok())
            .map_or_else(
                || "<unknown>".to_owned(),
                |time| human_duration(self.now.duration_since(time)),
            )
    }

    /// The value at a path like `/spec/nodeName`, none of whose names is escaped.
    fn at(self, path: &str) -> Option<&'a Value> {
        let mut names = path.split('/').skip(1);
        names.try_fold(self.object, |value, name| value.get(name))
    }

    fn text(self, path: &str) -> &'a str {
        self.at(path).and_then(Value::as_str).unwrap_or_default()
    }

    fn number(self, path: &str) -> i64 {
        self.at(path).and_then(Value::as_i64).unwrap_or_default()
    }

    fn list(self, path: &str) -> &'a [Value] {
        self.at(path)
            .and_then(Value::as_array)
            .map_or(&[], Vec::as_slice)
    }

    /// Names and images of the containers in a pod template.
    fn containers(self, pointer: &str) -> [Value; 2] {
        let join = |field: &str| {
            json!(
                self.list(pointer)
                    .iter()
                    .map(|container| container[field].as_str().unwrap_or_default())
                    .collect::<Vec<_>>()
                    .join(",")
            )
        };
        [join("name"), join("image")]
    }
}

/// `text`, or what stands for none.
fn or_none(text: &str) -> &str {
    if text.is_empty() { "<none>" } else { text }
}

/// Joins the first three; says how many more there are.
fn with_more(list: &[String]) -> String {
    if list.is_empty() {
        return "<unset>".to_owned();
    }
    let shown = list
        .iter()
        .take(3)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(",");
    if list.len() > 3 {
        format!("{shown} + {} more...", list.len() - 3)
    } else {
        shown
    }
}

#[cfg(test)]
mod tests;
