//! Disruption budgets, autoscalers and priorities.

use serde_json::{Value, json};

use crate::core::Core;
use crate::object;
use crate::status::{Answer, Cause, Failure};
use crate::strategy::checks::{at, count_or_percent, forbid_fields, keep_fields, unsupported};

/// The highest priority a user may give.
const PRIORITY_MAX: i64 = 1_000_000_000;
/// Priorities the system keeps for itself.
pub(crate) const SYSTEM_PRIORITIES: [(&str, i64, &str); 2] = [
    (
        "system-cluster-critical",
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to another \
         node if necessary.",
    ),
    (
        "system-node-critical",
        2_000_001_000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
];

pub(super) fn validate_budget(value: &Value) -> Vec<Cause> {
    let mut causes = vec![];
    let (least, most) = (
        at(value, "/spec/minAvailable"),
        at(value, "/spec/maxUnavailable"),
    );
    if !least.is_null() && !most.is_null() {
        causes.push(Cause::invalid(
            "spec",
            at(value, "/spec"),
            "minAvailable and maxUnavailable cannot be both set",
        ));
    }
    for path in ["spec.minAvailable", "spec.maxUnavailable"] {
        count_or_percent(value, path, &mut causes);
    }
    causes
}

pub(super) fn validate_autoscaler(value: &Value) -> Vec<Cause> {
    let mut causes = vec![];
    let (least, most) = (
        at(value, "/spec/minReplicas"),
        at(value, "/spec/maxReplicas"),
    );
    if least.as_i64().is_some_and(|least| least < 1) {
        let why = "must be greater than or equal to 1";
        causes.push(Cause::invalid("spec.minReplicas", least, why));
    }
    match most.as_i64().unwrap_or(0) {
        0 => {
            let why = "must be set and greater than 0";
            causes.push(Cause::required("spec.maxReplicas", why));
        }
        negative if negative < 0 => {
            causes.push(Cause::invalid(
                "spec.maxReplicas",
                most,
                "must be greater than 0",
            ));
        }
        _ => {}
    }
    if most.as_i64() < least.as_i64() {
        let why = "must be greater than or equal to `minReplicas`";
        causes.push(Cause::invalid("spec.maxReplicas", most, why));
    }
    for field in ["kind", "name"] {
        if object::text(value, &format!("/spec/scaleTargetRef/{field}")).is_empty() {
            causes.push(Cause::required(format!("spec.scaleTargetRef.{field}"), ""));
        }
    }
    let api_version = object::text(value, "/spec/scaleTargetRef/apiVersion");
    let core = matches!(
        object::text(value, "/spec/scaleTargetRef/kind"),
        "ReplicationController"
    );
    if !core && !api_version.contains('/') {
        let why = "apiVersion must specify API group";
        let path = "spec.scaleTargetRef.apiVersion";
        causes.push(Cause::invalid(path, &json!(api_version), why));
    }
    causes
}

/// The kinds of traffic a network policy is about.
pub(super) fn validate_network_policy(value: &Value) -> Vec<Cause> {
    let words = ["Ingress", "Egress"];
    let types = at(value, "/spec/policyTypes").as_array();
    let given = types.into_iter().flatten().enumerate();
    given
        .filter_map(|(index, word)| Some((index, word.as_str()?)))
        .filter(|(_, word)| !words.contains(word))
        .map(|(index, word)| unsupported(format!("spec.policyTypes[{index}]"), word, &words))
        .collect()
}

pub(super) fn validate_priority(value: &Value) -> Vec<Cause> {
    let mut causes = vec![];
    let preemption = object::text(value, "/preemptionPolicy");
    let words = ["PreemptLowerPriority", "Never"];
    if !preemption.is_empty() && !words.contains(&preemption) {
        causes.push(unsupported("preemptionPolicy", preemption, &words));
    }
    let (name, priority) = (
        object::name(value),
        at(value, "/value").as_i64().unwrap_or(0),
    );
    if name.starts_with("system-") {
        let known = SYSTEM_PRIORITIES
            .iter()
            .any(|(system, amount, _)| *system == name && *amount == priority);
        if !known {
            let why = "priority class names with 'system-' prefix are reserved for system use \
                       only. error: ";
            let why = match SYSTEM_PRIORITIES
                .iter()
                .find(|(system, ..)| *system == name)
            {
                Some((_, amount, _)) => {
                    format!("{why}value of {name} PriorityClass must be {amount}")
                }
                None => format!("{why}{name} is not a known system priority class"),
            };
            causes.push(Cause::forbidden("metadata.name", &why));
        }
    } else if priority > PRIORITY_MAX {
        let why = format!("maximum allowed value of a user defined priority is {PRIORITY_MAX}");
        causes.push(Cause::forbidden("value", &why));
    }
    causes
}

pub(super) fn validate_priority_update(value: &Value, old: &Value) -> Vec<Cause> {
    let mut causes = forbid_fields(value, old, &[("value", "may not be changed in an update.")]);
    let kept = keep_fields(value, old, &["preemptionPolicy"], "field is immutable");
    causes.extend(kept);
    causes
}

/// Gives a pod the priority its class names.
pub(super) fn resolve_priority(
    core: &Core,
    entry: &crate::catalog::Entry,
    pod: &mut Value,
) -> Answer<()> {
    let class = object::text(pod, "/spec/priorityClassName").to_owned();
    if class.is_empty() {
        return Ok(());
    }
    let Some(stored) = core.peek("scheduling.k8s.io", "priorityclasses", "", &class) else {
        let why = format!("no PriorityClass with name {class} was found");
        return Err(Failure::forbidden(entry.named(), object::name(pod), &why));
    };
    let class = object::decode(&stored)?;
    let priority = at(&class, "/value").clone();
    let given = at(pod, "/spec/priority");
    if !given.is_null() && *given != priority {
        let why = format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority \
             admission controller computed {priority} from the given PriorityClass name"
        );
        return Err(Failure::forbidden(entry.named(), object::name(pod), &why));
    }
    let preemption = class.get("preemptionPolicy").cloned();
    let spec = object::map_mut(pod, "spec");
    spec.insert("priority".into(), priority);
    spec.entry("preemptionPolicy")
        .or_insert(preemption.unwrap_or_else(|| json!("PreemptLowerPriority")));
    Ok(())
}
