//! Deployments, `ReplicaSets`, `StatefulSets` and `DaemonSets`: selectors must fit
//! their templates and stay.

use serde_json::{Value, json};

use crate::object;
use crate::status::Cause;
use crate::strategy::checks::{at, keep_fields, not_negative};
use crate::strategy::pod_spec::{self, Use};
use crate::strategy::unchanged;

/// Where the real server keeps a `DaemonSet`'s count of templates.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// Fields of a `StatefulSet` that may change.
const STATEFUL_SET_MUTABLE: &[&str] = &[
    "minReadySeconds",
    "ordinals",
    "persistentVolumeClaimRetentionPolicy",
    "replicas",
    "revisionHistoryLimit",
    "template",
    "updateStrategy",
];

pub(super) fn validate(plural: &str, value: &Value) -> Vec<Cause> {
    let mut causes = vec![];
    let kind = plural.strip_suffix('s').unwrap_or(plural);
    if kind == "statefulset" {
        stateful_set_words(value, &mut causes);
    }
    for field in ["replicas", "minReadySeconds", "revisionHistoryLimit"] {
        not_negative(value, &format!("spec.{field}"), &mut causes);
    }
    selector(value, kind, &mut causes);
    let spec = at(value, "/spec/template/spec");
    let path = "spec.template.spec";
    causes.extend(pod_spec::validate(spec, path, Use::KeptRunning));
    match kind {
        "deployment" => deployment_strategy(value, &mut causes),
        "statefulset" => stateful_set(value, &mut causes),
        "daemonset" => daemon_set_strategy(value, &mut causes),
        _ => {}
    }
    let deadline = at(spec, "/activeDeadlineSeconds");
    if matches!(kind, "statefulset" | "daemonset") && !deadline.is_null() {
        let name = object::text(value, "/kind");
        let why = format!("activeDeadlineSeconds in {name} is not Supported");
        causes.push(Cause::forbidden(
            "spec.template.spec.activeDeadlineSeconds",
            &why,
        ));
    }
    causes
}

fn selector(value: &Value, kind: &str, causes: &mut Vec<Cause>) {
    let labels = at(value, "/spec/template/metadata/labels");
    let selector = at(value, "/spec/selector");
    if selector.is_null() && kind != "daemonset" {
        causes.push(Cause::required("spec.selector", ""));
    }
    if !selector.is_null() && is_empty(selector) {
        // The real server says so of a ReplicaSet, too.
        let kind = if kind == "replicaset" {
            "deployment"
        } else {
            kind
        };
        let why = format!("empty selector is invalid for {kind}");
        causes.push(Cause::invalid("spec.selector", selector, &why));
    } else if selector.is_null() || !matches(selector, labels) {
        causes.push(Cause::invalid(
            "spec.template.metadata.labels",
            labels,
            "`selector` does not match template `labels`",
        ));
    }
}

fn is_zero(amount: &Value) -> bool {
    *amount == 0 || *amount == "0%"
}

fn deployment_strategy(value: &Value, causes: &mut Vec<Cause>) {
    let amount = |field: &str| at(value, &format!("/spec/strategy/rollingUpdate/{field}"));
    if is_zero(amount("maxSurge")) && is_zero(amount("maxUnavailable")) {
        causes.push(Cause::invalid(
            "spec.strategy.rollingUpdate.maxUnavailable",
            &0.into(),
            "may not be 0 when `maxSurge` is 0",
        ));
    }
    if object::text(value, "/spec/strategy/type") == "Recreate"
        && !at(value, "/spec/strategy/rollingUpdate").is_null()
    {
        causes.push(Cause::forbidden(
            "spec.strategy.rollingUpdate",
            "may not be specified when strategy `type` is 'Recreate'",
        ));
    }
    let (deadline, ready) = (
        at(value, "/spec/progressDeadlineSeconds"),
        at(value, "/spec/minReadySeconds").as_i64().unwrap_or(0),
    );
    not_negative(value, "spec.progressDeadlineSeconds", causes);
    if deadline.as_i64().is_some_and(|deadline| deadline <= ready) {
        causes.push(Cause::invalid(
            "spec.progressDeadlineSeconds",
            deadline,
            "must be greater than minReadySeconds",
        ));
    }
}

/// A strategy as the real server prints it: by its own names.
fn printed(strategy: &str) -> String {
    format!("{{\"Type\":{strategy:?},\"RollingUpdate\":null}}")
}

fn stateful_set_words(value: &Value, causes: &mut Vec<Cause>) {
    let policy = object::text(value, "/spec/podManagementPolicy");
    if !matches!(policy, "OrderedReady" | "Parallel") {
        let why = "must be 'OrderedReady' or 'Parallel'";
        causes.push(Cause::invalid(
            "spec.podManagementPolicy",
            &json!(policy),
            why,
        ));
    }
    let strategy = object::text(value, "/spec/updateStrategy/type");
    if !matches!(strategy, "RollingUpdate" | "OnDelete") {
        causes.push(Cause {
            reason: "FieldValueInvalid",
            field: "spec.updateStrategy".into(),
            message: format!(
                "Invalid value: {}: must be 'RollingUpdate' or 'OnDelete'",
                printed(strategy)
            ),
        });
    }
}

fn stateful_set(value: &Value, causes: &mut Vec<Cause>) {
    not_negative(value, "spec.ordinals.start", causes);
    not_negative(value, "spec.updateStrategy.rollingUpdate.partition", causes);
    let strategy = object::text(value, "/spec/updateStrategy/type");
    let rolling = at(value, "/spec/updateStrategy/rollingUpdate");
    if strategy == "OnDelete" && !rolling.is_null() {
        causes.push(Cause::invalid(
            "spec.updateStrategy.rollingUpdate",
            rolling,
            "only allowed for updateStrategy 'RollingUpdate'",
        ));
    }
}

fn daemon_set_strategy(value: &Value, causes: &mut Vec<Cause>) {
    let kind = object::text(value, "/spec/updateStrategy/type");
    if !matches!(kind, "RollingUpdate" | "OnDelete") {
        causes.push(Cause {
            reason: "FieldValueNotSupported",
            field: "spec.updateStrategy".into(),
            message: format!(
                "Unsupported value: {}: supported values: \"RollingUpdate\", \"OnDelete\"",
                printed(kind)
            ),
        });
        return;
    }
    let amount = |field: &str| {
        at(
            value,
            &format!("/spec/updateStrategy/rollingUpdate/{field}"),
        )
    };
    let (unavailable, surge) = (amount("maxUnavailable"), amount("maxSurge"));
    if kind != "RollingUpdate" {
        return;
    }
    if is_zero(unavailable) && (is_zero(surge) || surge.is_null()) {
        causes.push(Cause::required(
            "spec.updateStrategy.rollingUpdate.maxUnavailable",
            "cannot be 0 when maxSurge is 0",
        ));
    }
    if !is_zero(unavailable) && !is_zero(surge) && !surge.is_null() {
        causes.push(Cause::invalid(
            "spec.updateStrategy.rollingUpdate.maxSurge",
            surge,
            "may not be set when maxUnavailable is non-zero",
        ));
    }
}

pub(super) fn validate_update(plural: &str, value: &Value, old: &Value) -> Vec<Cause> {
    if plural != "statefulsets" {
        return unchanged(value, old, "spec.selector", "field is immutable");
    }
    let frozen = |value: &Value| {
        let mut spec = at(value, "/spec").clone();
        if let Some(spec) = spec.as_object_mut() {
            spec.retain(|field, _| !STATEFUL_SET_MUTABLE.contains(&field.as_str()));
        }
        spec
    };
    if frozen(value) == frozen(old) {
        return vec![];
    }
    vec![Cause::forbidden(
        "spec",
        "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
         'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
         'minReadySeconds' are forbidden",
    )]
}

/// A new `DaemonSet` counts its templates from one.
pub(super) fn prepare_daemon_set(value: &mut Value) {
    set_template_generation(value, 1);
}

/// A changed one goes on counting.
pub(super) fn prepare_daemon_set_update(value: &mut Value, old: &Value) {
    let pointer = ["metadata", "annotations", TEMPLATE_GENERATION];
    let before = old[pointer[0]][pointer[1]][pointer[2]].as_str();
    let before: i64 = before.and_then(|text| text.parse().ok()).unwrap_or(1);
    let changed = at(value, "/spec/template") != at(old, "/spec/template");
    set_template_generation(value, before + i64::from(changed));
}

fn set_template_generation(value: &mut Value, generation: i64) {
    let metadata = object::metadata_mut(value);
    let annotations = metadata.entry("annotations").or_insert(json!({}));
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.insert(TEMPLATE_GENERATION.into(), generation.to_string().into());
    }
}

/// A revision has data and a number.
pub(super) fn validate_revision(value: &Value) -> Vec<Cause> {
    let mut causes = vec![];
    if at(value, "/data").is_null() {
        causes.push(Cause::required("data", "data is mandatory"));
    }
    not_negative(value, "revision", &mut causes);
    causes
}

/// A revision's data never changes.
pub(super) fn validate_revision_update(value: &Value, old: &Value) -> Vec<Cause> {
    keep_fields(value, old, &["data"], "field is immutable")
}

pub(super) fn is_empty(selector: &Value) -> bool {
    let none = |field: &str| match selector.get(field) {
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        _ => true,
    };
    none("matchLabels") && none("matchExpressions")
}

/// Whether labels meet a selector in its object form.
pub(crate) fn matches(selector: &Value, labels: &Value) -> bool {
    let label = |key: &str| labels.get(key).and_then(Value::as_str);
    let exact = selector.get("matchLabels").and_then(Value::as_object);
    let all_exact = exact
        .into_iter()
        .flatten()
        .all(|(key, value)| label(key).is_some() && label(key) == value.as_str());
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    all_exact
        && expressions.into_iter().flatten().all(|expression| {
            let found = label(object::text(expression, "/key"));
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
