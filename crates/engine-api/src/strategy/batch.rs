//! Jobs and `CronJobs`: generated selectors, templates that stay, schedules.

use serde_json::{Map, Value, json};

use crate::names;
use crate::object;
use crate::status::Cause;
use crate::strategy::checks::{at, field, keep_fields, not_negative, unsupported};
use crate::strategy::pod_spec::{self, Use};
use crate::strategy::schedule;
use crate::strategy::workload::matches;

const UID_LABEL: &str = "batch.kubernetes.io/controller-uid";
const NAME_LABEL: &str = "batch.kubernetes.io/job-name";
const OLD_UID_LABEL: &str = "controller-uid";
const OLD_NAME_LABEL: &str = "job-name";
/// Pods of a `CronJob`'s jobs carry its name and eleven characters more.
const CRON_JOB_NAME_MAX: usize = 52;

/// Selects the job's pods by its own identifier, unless its author does so by hand.
pub(super) fn prepare_job(value: &mut Value) {
    if at(value, "/spec/manualSelector") == &Value::Bool(true) {
        return;
    }
    let (name, uid) = (
        object::name(value).to_owned(),
        object::uid(value).to_owned(),
    );
    let spec = object::map_mut(value, "spec");
    let template = spec.entry("template").or_insert(json!({}));
    let labels = inner(object::metadata_mut(template), "labels");
    for (key, text) in [
        (OLD_NAME_LABEL, &name),
        (OLD_UID_LABEL, &uid),
        (NAME_LABEL, &name),
        (UID_LABEL, &uid),
    ] {
        labels.entry(key).or_insert_with(|| json!(text));
    }
    let selector = spec.entry("selector").or_insert(json!({}));
    object::map_mut(selector, "matchLabels")
        .entry(UID_LABEL)
        .or_insert_with(|| json!(uid));
}

fn inner<'a>(map: &'a mut Map<String, Value>, field: &str) -> &'a mut Map<String, Value> {
    let value = map.entry(field).or_insert(json!({}));
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut().expect("made an object above")
}

pub(super) fn validate_job(value: &Value) -> Vec<Cause> {
    let mut causes = job_spec(value, "spec");
    let name = object::name(value);
    let indexed = object::text(value, "/spec/completionMode") == "Indexed";
    if indexed && let Some(completions) = at(value, "/spec/completions").as_i64() {
        let longest = format!("{name}-{}", completions.max(1) - 1);
        if let Some(why) = names::label(&longest) {
            let why =
                format!("will not able to create pod with invalid DNS label {longest:?}: {why}");
            causes.push(Cause::invalid("metadata.name", &json!(name), &why));
        }
    }
    let (selector, labels) = (
        at(value, "/spec/selector"),
        at(value, "/spec/template/metadata/labels"),
    );
    if selector.is_null() {
        causes.push(Cause::required("spec.selector", ""));
    }
    if selector.is_null() || !matches(selector, labels) {
        causes.push(Cause::invalid(
            "spec.template.metadata.labels",
            labels,
            "`selector` does not match template `labels`",
        ));
    }
    if at(value, "/spec/manualSelector") != &Value::Bool(true) {
        let uid = object::uid(value);
        let own =
            json!({UID_LABEL: uid, OLD_UID_LABEL: uid, NAME_LABEL: name, OLD_NAME_LABEL: name});
        if !selector.is_null() && !matches(selector, &own) {
            let why = "`selector` not auto-generated";
            causes.push(Cause::invalid("spec.selector", selector, why));
        }
        for (key, wanted) in [(UID_LABEL, uid), (NAME_LABEL, name)] {
            let found = labels.get(key).and_then(Value::as_str).unwrap_or_default();
            if found != wanted {
                let path = format!("spec.template.metadata.labels[{key}]");
                causes.push(Cause::invalid(
                    path,
                    &json!(found),
                    &format!("must be '{wanted}'"),
                ));
            }
        }
    }
    causes
}

/// What holds for a job's spec wherever it stands.
fn job_spec(value: &Value, path: &str) -> Vec<Cause> {
    let mut causes = vec![];
    for name in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
        not_negative(value, &format!("{path}.{name}"), &mut causes);
    }
    let spec = field(value, path);
    let mode = object::text(spec, "/completionMode");
    if !matches!(mode, "" | "NonIndexed" | "Indexed") {
        let words = ["NonIndexed", "Indexed"];
        causes.push(unsupported(format!("{path}.completionMode"), mode, &words));
    }
    let indexed = mode == "Indexed";
    if indexed && at(spec, "/completions").is_null() {
        let why = "when completion mode is Indexed";
        causes.push(Cause::required(format!("{path}.completions"), why));
    }
    if !indexed && !at(spec, "/backoffLimitPerIndex").is_null() {
        causes.push(Cause::invalid(
            format!("{path}.backoffLimitPerIndex"),
            at(spec, "/backoffLimitPerIndex"),
            "requires indexed completion mode",
        ));
    }
    let pod = at(spec, "/template/spec");
    let pod_path = format!("{path}.template.spec");
    causes.extend(pod_spec::validate(pod, &pod_path, Use::Template));
    let restart = object::text(pod, "/restartPolicy");
    let restart_path = format!("{pod_path}.restartPolicy");
    match restart {
        "OnFailure" | "Never" => {}
        "Always" | "" => causes.push(Cause::required(
            &restart_path,
            "valid values: \"OnFailure\", \"Never\"",
        )),
        other => causes.push(unsupported(&restart_path, other, &["OnFailure", "Never"])),
    }
    if !at(spec, "/podFailurePolicy").is_null() && restart != "Never" {
        causes.push(Cause::invalid(
            restart_path,
            &json!(restart),
            "only \"Never\" is supported when podFailurePolicy is specified",
        ));
    }
    causes
}

/// Fields of the template that may change while a suspended job has not started.
const SUSPENDED_MUTABLE: &[&str] = &[
    "/metadata/annotations",
    "/metadata/labels",
    "/spec/affinity/nodeAffinity",
    "/spec/nodeSelector",
    "/spec/schedulingGates",
    "/spec/tolerations",
];

pub(super) fn validate_job_update(value: &Value, old: &Value) -> Vec<Cause> {
    let immutable = "field is immutable";
    let mut causes = keep_fields(value, old, &["spec.selector"], immutable);
    let template = |value: &Value| {
        let mut template = at(value, "/spec/template").clone();
        let suspended = at(old, "/spec/suspend") == &Value::Bool(true)
            && at(old, "/status/startTime").is_null();
        for pointer in SUSPENDED_MUTABLE.iter().filter(|_| suspended) {
            let (parent, name) = pointer.rsplit_once('/').unwrap_or_default();
            let parent = template.pointer_mut(parent).and_then(Value::as_object_mut);
            parent.map(|parent| parent.remove(name));
        }
        template
    };
    if template(value) != template(old) {
        let now = at(value, "/spec/template");
        causes.push(Cause::invalid("spec.template", now, immutable));
    }
    // An indexed job may grow and shrink, as long as all its pods run at once.
    let elastic = at(value, "/spec/completions") == at(value, "/spec/parallelism");
    let why = match object::text(value, "/spec/completionMode") {
        "Indexed" if elastic => None,
        "Indexed" => Some("can only be modified in tandem with spec.parallelism"),
        _ => Some(immutable),
    };
    if let Some(why) = why {
        causes.extend(keep_fields(value, old, &["spec.completions"], why));
    }
    let kept = [
        "spec.completionMode",
        "spec.podFailurePolicy",
        "spec.backoffLimitPerIndex",
        "spec.managedBy",
        "spec.successPolicy",
    ];
    causes.extend(keep_fields(value, old, &kept, immutable));
    causes
}

pub(super) fn validate_cron_job(value: &Value) -> Vec<Cause> {
    let mut causes = vec![];
    let name = object::name(value);
    if name.len() > CRON_JOB_NAME_MAX {
        let why = "must be no more than 52 characters";
        causes.push(Cause::invalid("metadata.name", &json!(name), why));
    }
    let text = object::text(value, "/spec/schedule");
    if text.is_empty() {
        causes.push(Cause::required("spec.schedule", ""));
    } else if let Err(why) = schedule::check(text) {
        causes.push(Cause::invalid("spec.schedule", &json!(text), &why));
    }
    if let Some(zone) = at(value, "/spec/timeZone").as_str() {
        if zone.is_empty() {
            let why = "timeZone must be nil or non-empty string";
            causes.push(Cause::invalid("spec.timeZone", &json!(zone), why));
        } else if zone.eq_ignore_ascii_case("local") {
            let why = "timeZone must be an explicit time zone as defined in \
                       https://www.iana.org/time-zones";
            causes.push(Cause::invalid("spec.timeZone", &json!(zone), why));
        } else if jiff::tz::TimeZone::get(zone).is_err() {
            let why = format!("unknown time zone {zone}");
            causes.push(Cause::invalid("spec.timeZone", &json!(zone), &why));
        }
    }
    not_negative(value, "spec.startingDeadlineSeconds", &mut causes);
    let policy = object::text(value, "/spec/concurrencyPolicy");
    let policies = ["Allow", "Forbid", "Replace"];
    if !policies.contains(&policy) {
        causes.push(unsupported("spec.concurrencyPolicy", policy, &policies));
    }
    for name in ["successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
        not_negative(value, &format!("spec.{name}"), &mut causes);
    }
    let job = "spec.jobTemplate.spec";
    causes.extend(job_spec(value, job));
    if at(value, "/spec/jobTemplate/spec/manualSelector") == &Value::Bool(true) {
        let message = "Unsupported value: true: supported values: \"nil\", \"false\"";
        causes.push(Cause {
            reason: "FieldValueNotSupported",
            field: format!("{job}.manualSelector"),
            message: message.into(),
        });
    }
    let selector = at(value, "/spec/jobTemplate/spec/selector");
    if !selector.is_null() {
        let why = "`selector` will be auto-generated";
        causes.push(Cause::invalid(format!("{job}.selector"), selector, why));
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_selects_its_pods_by_its_own_identifier() {
        let mut job = json!({"metadata": {"name": "a", "uid": "u"}, "spec": {"template": {}}});
        prepare_job(&mut job);
        assert_eq!(
            job["spec"]["selector"],
            json!({"matchLabels": {UID_LABEL: "u"}})
        );
        let labels = &job["spec"]["template"]["metadata"]["labels"];
        assert_eq!(
            labels,
            &json!({UID_LABEL: "u", OLD_UID_LABEL: "u", NAME_LABEL: "a", OLD_NAME_LABEL: "a"})
        );
        let mut manual = json!({"metadata": {"name": "a"}, "spec": {"manualSelector": true}});
        let before = manual.clone();
        prepare_job(&mut manual);
        assert_eq!(manual, before);
    }
}
