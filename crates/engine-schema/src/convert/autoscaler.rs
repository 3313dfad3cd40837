//! Horizontal pod autoscalers: `v1` knows one CPU target; everything else of
//! `v2` travels in annotations, as on the real server.

use serde_json::{Map, Value, json};

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

/// The CPU target of an autoscaler that names nothing.
const CPU_DEFAULT: i64 = 80;

/// Fields of a metric in `v1`'s annotations and where `v2` has them.
const TARGETS: &[(&str, &str, &str)] = &[
    (
        "targetAverageUtilization",
        "averageUtilization",
        "Utilization",
    ),
    ("targetAverageValue", "averageValue", "AverageValue"),
    ("targetValue", "value", "Value"),
];

/// Rewrites an object of `v1` as one of `v2`.
pub(crate) fn to_v2(object: &mut Value) {
    let notes = |object: &mut Value, key: &str| -> Option<Value> {
        let notes = object
            .pointer_mut("/metadata/annotations")?
            .as_object_mut()?;
        serde_json::from_str(notes.remove(key)?.as_str()?).ok()
    };
    let mut metrics: Vec<Value> = match notes(object, METRICS) {
        Some(Value::Array(list)) => list
            .iter()
            .map(|metric| metric_to_v2(metric, true))
            .collect(),
        _ => vec![],
    };
    let mut current: Vec<Value> = match notes(object, CURRENT) {
        Some(Value::Array(list)) => list
            .iter()
            .map(|metric| metric_to_v2(metric, false))
            .collect(),
        _ => vec![],
    };
    let conditions = notes(object, CONDITIONS);
    let behavior = notes(object, BEHAVIOR);
    drop_empty_annotations(object);
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        let percent = spec.remove("targetCPUUtilizationPercentage");
        let percent = percent.and_then(|percent| percent.as_i64());
        if let Some(percent) = percent.or_else(|| metrics.is_empty().then_some(CPU_DEFAULT)) {
            metrics.push(cpu(percent));
        }
        spec.insert("metrics".into(), metrics.into());
        if let Some(behavior) = behavior {
            spec.insert("behavior".into(), behavior);
        }
    }
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
        let percent = status.remove("currentCPUUtilizationPercentage");
        if let Some(percent) = percent.and_then(|percent| percent.as_i64())
            && !current.iter().any(is_cpu)
        {
            current.push(json!({"type": "Resource", "resource": {
                "name": "cpu", "current": {"averageUtilization": percent},
            }}));
        }
        let current = if current.is_empty() {
            Value::Null
        } else {
            current.into()
        };
        status.insert("currentMetrics".into(), current);
        if let Some(conditions) = conditions {
            status.insert("conditions".into(), conditions);
        }
    }
}

fn cpu(percent: i64) -> Value {
    json!({"type": "Resource", "resource": {
        "name": "cpu", "target": {"type": "Utilization", "averageUtilization": percent},
    }})
}

fn is_cpu(metric: &Value) -> bool {
    metric["type"] == "Resource" && metric["resource"]["name"] == "cpu"
}

/// Rewrites an object of `v2` as one of `v1`.
pub(crate) fn to_v1(object: &mut Value) {
    let mut notes: Vec<(&str, Value)> = vec![];
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        let mut others = vec![];
        for metric in list(spec.remove("metrics")) {
            let percent = metric["resource"]["target"]["averageUtilization"].as_i64();
            let free = !spec.contains_key("targetCPUUtilizationPercentage");
            match percent.filter(|_| free && is_cpu(&metric)) {
                Some(percent) => {
                    spec.insert("targetCPUUtilizationPercentage".into(), percent.into());
                }
                None => others.push(metric_to_v1(&metric, true)),
            }
        }
        if !others.is_empty() {
            notes.push((METRICS, others.into()));
        }
        if let Some(behavior) = spec.remove("behavior").filter(|value| !value.is_null()) {
            notes.push((BEHAVIOR, behavior));
        }
    }
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
        let current = list(status.remove("currentMetrics"));
        let percent = current
            .iter()
            .filter(|metric| is_cpu(metric))
            .find_map(|metric| metric["resource"]["current"]["averageUtilization"].as_i64());
        if let Some(percent) = percent {
            status.insert("currentCPUUtilizationPercentage".into(), percent.into());
        }
        status.entry("currentReplicas").or_insert(json!(0));
        if !current.is_empty() {
            let old: Vec<Value> = current
                .iter()
                .map(|metric| metric_to_v1(metric, false))
                .collect();
            notes.push((CURRENT, old.into()));
        }
        let conditions = list(status.remove("conditions"));
        if !conditions.is_empty() {
            notes.push((CONDITIONS, conditions.into()));
        }
    }
    if notes.is_empty() {
        return;
    }
    let annotations = &mut object["metadata"]["annotations"];
    if !annotations.is_object() {
        *annotations = json!({});
    }
    for (key, value) in notes {
        annotations[key] = value.to_string().into();
    }
}

fn list(value: Option<Value>) -> Vec<Value> {
    match value {
        Some(Value::Array(list)) => list,
        _ => vec![],
    }
}

fn drop_empty_annotations(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut)
        && metadata
            .get("annotations")
            .and_then(Value::as_object)
            .is_some_and(Map::is_empty)
    {
        metadata.remove("annotations");
    }
}

/// Where the details of a metric stand: `Resource` in `resource`.
fn place(metric: &Value) -> String {
    let kind = metric["type"].as_str().unwrap_or_default();
    let mut letters = kind.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(letters).collect()
    })
}

fn metric_to_v2(old: &Value, is_target: bool) -> Value {
    let place = place(old);
    let details = &old[&place];
    let mut new = json!({});
    let mut amounts = json!({});
    for (target, field, kind) in TARGETS {
        let name = if is_target {
            (*target).to_owned()
        } else {
            target.replace("target", "current")
        };
        if let Some(value) = details.get(&name).filter(|value| !value.is_null()) {
            if is_target {
                amounts["type"] = json!(kind);
            }
            amounts[*field] = value.clone();
        }
    }
    for field in ["name", "container"] {
        if !details[field].is_null() {
            new[field] = details[field].clone();
        }
    }
    if !details["metricName"].is_null() {
        new["metric"] = json!({"name": details["metricName"]});
        for selector in ["selector", "metricSelector"] {
            if !details[selector].is_null() {
                new["metric"]["selector"] = details[selector].clone();
            }
        }
    }
    if place == "object" {
        new["describedObject"] = details["target"].clone();
    }
    new[if is_target { "target" } else { "current" }] = amounts;
    json!({"type": old["type"], place: new})
}

fn metric_to_v1(new: &Value, is_target: bool) -> Value {
    let place = place(new);
    let details = &new[&place];
    let mut old = json!({});
    for field in ["name", "container"] {
        if !details[field].is_null() {
            old[field] = details[field].clone();
        }
    }
    if !details["metric"].is_null() {
        old["metricName"] = details["metric"]["name"].clone();
        if !details["metric"]["selector"].is_null() {
            let name = if place == "external" {
                "metricSelector"
            } else {
                "selector"
            };
            old[name] = details["metric"]["selector"].clone();
        }
    }
    if place == "object" {
        old["target"] = details["describedObject"].clone();
    }
    let amounts = &details[if is_target { "target" } else { "current" }];
    for (target, field, _) in TARGETS {
        if !amounts[*field].is_null() {
            let name = if is_target {
                (*target).to_owned()
            } else {
                target.replace("target", "current")
            };
            old[name] = amounts[*field].clone();
        }
    }
    json!({"type": new["type"], place: old})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_target_and_everything_else_survive_the_way_through_v1() {
        let original = json!({
            "metadata": {"name": "a"},
            "spec": {"maxReplicas": 3, "metrics": [
                {"type": "Pods", "pods": {"metric": {"name": "hits"}, "target": {"type": "AverageValue", "averageValue": "5"}}},
                {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}},
            ], "behavior": {"scaleDown": {"selectPolicy": "Max"}}},
            "status": {"desiredReplicas": 1, "currentReplicas": 1, "currentMetrics": [
                {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 7, "averageValue": "70m"}}},
            ]},
        });
        let mut object = original.clone();
        to_v1(&mut object);
        assert_eq!(object["spec"]["targetCPUUtilizationPercentage"], 50);
        assert_eq!(object["status"]["currentCPUUtilizationPercentage"], 7);
        assert!(object["spec"].get("metrics").is_none());
        to_v2(&mut object);
        assert_eq!(object, original);
    }

    #[test]
    fn v1_without_a_target_means_eighty_percent_of_cpu() {
        let mut object = json!({"metadata": {}, "spec": {"maxReplicas": 3}});
        to_v2(&mut object);
        assert_eq!(object["spec"]["metrics"], json!([cpu(80)]));
    }
}
