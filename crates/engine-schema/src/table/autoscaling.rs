//! Rows of horizontal pod autoscalers.

use serde_json::{Value, json};

use super::Shown;
use crate::convert;

/// Metrics named before the rest is only counted.
const SHOWN: usize = 2;

/// The row of an autoscaler in either version.
pub(super) fn cells(version: &str, shown: Shown<'_>) -> Vec<Value> {
    if version == "v1" {
        let mut object = shown.object.clone();
        convert::autoscaler_to_v2(&mut object);
        return row(Shown {
            object: &object,
            now: shown.now,
        });
    }
    row(shown)
}

fn row(shown: Shown<'_>) -> Vec<Value> {
    let target = format!(
        "{}/{}",
        shown.text("/spec/scaleTargetRef/kind"),
        shown.text("/spec/scaleTargetRef/name")
    );
    let least = shown.object["spec"]["minReplicas"].as_i64();
    let least = least.map_or_else(|| "<unset>".to_owned(), |least| least.to_string());
    vec![
        shown.name(),
        json!(target),
        json!(metrics(shown)),
        json!(least),
        json!(shown.number("/spec/maxReplicas")),
        json!(shown.number("/status/currentReplicas")),
        shown.age(),
    ]
}

fn metrics(shown: Shown<'_>) -> String {
    let wanted = shown.list("/spec/metrics");
    let current = shown.list("/status/currentMetrics");
    if wanted.is_empty() {
        return "<none>".to_owned();
    }
    let none = Value::Null;
    let texts: Vec<String> = wanted
        .iter()
        .enumerate()
        .map(|(index, metric)| one(metric, current.get(index).unwrap_or(&none)))
        .take(SHOWN)
        .collect();
    let shown = texts.join(", ");
    match wanted.len() - texts.len() {
        0 => shown,
        more => format!("{shown} + {more} more..."),
    }
}

/// One metric: what is, and what is aimed at.
fn one(metric: &Value, current: &Value) -> String {
    let (field, is_resource) = match metric["type"].as_str().unwrap_or_default() {
        "External" => ("external", false),
        "Pods" => ("pods", false),
        "Object" => ("object", false),
        "Resource" => ("resource", true),
        "ContainerResource" => ("containerResource", true),
        _ => return "<unknown type>".to_owned(),
    };
    let target = &metric[field]["target"];
    let now = |kind: &str| {
        let value = &current[field]["current"][kind];
        value.as_str().unwrap_or("<unknown>").to_owned()
    };
    let aim = |kind: &str| target[kind].as_str().unwrap_or_default().to_owned();
    let name = metric[field]["name"].as_str().unwrap_or_default();
    let percent = |value: &Value| value.as_i64().map(|percent| format!("{percent}%"));
    if is_resource {
        if !target["averageValue"].is_null() {
            return format!("{name}: {}/{}", now("averageValue"), aim("averageValue"));
        }
        let now = percent(&current[field]["current"]["averageUtilization"]);
        let aim = percent(&target["averageUtilization"]);
        return format!(
            "{name}: {}/{}",
            now.as_deref().unwrap_or("<unknown>"),
            aim.as_deref().unwrap_or("<auto>")
        );
    }
    match field {
        "pods" => format!("{}/{}", now("averageValue"), aim("averageValue")),
        _ if !target["averageValue"].is_null() => {
            format!("{}/{} (avg)", now("averageValue"), aim("averageValue"))
        }
        _ => format!("{}/{}", now("value"), aim("value")),
    }
}
