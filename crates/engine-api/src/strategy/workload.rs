//! Deployments and `ReplicaSets`: selectors must fit their templates and stay.

use serde_json::Value;

use crate::status::Cause;
use crate::strategy::pod_spec::{self, Use};
use crate::strategy::unchanged;

pub(super) fn validate(value: &Value) -> Vec<Cause> {
    let mut causes = vec![];
    let replicas = value.pointer("/spec/replicas");
    if let Some(replicas) = replicas.filter(|count| count.as_i64().is_some_and(|n| n < 0)) {
        causes.push(Cause::invalid(
            "spec.replicas",
            replicas,
            "must be greater than or equal to 0",
        ));
    }
    let empty = Value::Null;
    let labels = value
        .pointer("/spec/template/metadata/labels")
        .unwrap_or(&empty);
    match value.pointer("/spec/selector") {
        None => causes.push(Cause::required("spec.selector", "")),
        Some(selector) if is_empty(selector) => causes.push(Cause::invalid(
            "spec.selector",
            selector,
            "empty selector is invalid for deployment",
        )),
        Some(selector) if !matches(selector, labels) => causes.push(Cause::invalid(
            "spec.template.metadata.labels",
            labels,
            "`selector` does not match template `labels`",
        )),
        Some(_) => {}
    }
    let spec = value.pointer("/spec/template/spec").unwrap_or(&empty);
    causes.extend(pod_spec::validate(
        spec,
        "spec.template.spec",
        Use::KeptRunning,
    ));
    let both_zero = ["maxSurge", "maxUnavailable"].into_iter().all(|field| {
        let amount = value.pointer(&format!("/spec/strategy/rollingUpdate/{field}"));
        amount.is_some_and(|amount| *amount == 0 || *amount == "0%")
    });
    if both_zero {
        causes.push(Cause::invalid(
            "spec.strategy.rollingUpdate.maxUnavailable",
            &0.into(),
            "may not be 0 when `maxSurge` is 0",
        ));
    }
    causes
}

pub(super) fn validate_update(value: &Value, old: &Value) -> Vec<Cause> {
    unchanged(value, old, "spec.selector", "field is immutable")
}

fn is_empty(selector: &Value) -> bool {
    let none = |field: &str| match selector.get(field) {
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        _ => true,
    };
    none("matchLabels") && none("matchExpressions")
}

/// Whether labels meet a selector in its object form.
fn matches(selector: &Value, labels: &Value) -> bool {
    let label = |key: &str| labels.get(key).and_then(Value::as_str);
    let exact = selector.get("matchLabels").and_then(Value::as_object);
    let all_exact = exact
        .into_iter()
        .flatten()
        .all(|(key, value)| label(key).is_some() && label(key) == value.as_str());
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    all_exact
        && expressions.into_iter().flatten().all(|expression| {
            let found = label(
                expression
                    .get("key")
                    .and_then(Value::as_str)
                    .unwrap_or_default(),
            );
            let values = expression.get("values").and_then(Value::as_array);
            let listed = values
                .into_iter()
                .flatten()
                .any(|value| found.is_some() && value.as_str() == found);
            match expression.get("operator").and_then(Value::as_str) {
                Some("In") => listed,
                Some("NotIn") => !listed,
                Some("Exists") => found.is_some(),
                Some("DoesNotExist") => found.is_none(),
                _ => false,
            }
        })
}
