//! Defaults of the groups `apps` and `batch`.

use serde_json::{Map, json};

use super::{Fields, is_null, is_unset, make_object, object, objects, set_null, set_unset, text};

pub(super) fn set_defaults(name: &str, fields: &mut Fields) {
    match name {
        "DeploymentSpec" => deployment(fields),
        "ReplicaSetSpec" => set_null(fields, "replicas", 1),
        "StatefulSetSpec" => stateful_set(fields),
        "DaemonSetSpec" => daemon_set(fields),
        "Job" => job(fields),
        "CronJobSpec" => {
            set_unset(fields, "concurrencyPolicy", "Allow");
            set_null(fields, "suspend", false);
            set_null(fields, "successfulJobsHistoryLimit", 3);
            set_null(fields, "failedJobsHistoryLimit", 1);
        }
        "PodFailurePolicyOnPodConditionsPattern" => set_unset(fields, "status", "True"),
        _ => {}
    }
}

fn deployment(fields: &mut Fields) {
    set_null(fields, "replicas", 1);
    if let Some(strategy) = make_object(fields, "strategy") {
        set_unset(strategy, "type", "RollingUpdate");
        if text(strategy, "type") == "RollingUpdate"
            && let Some(rolling) = make_object(strategy, "rollingUpdate")
        {
            set_null(rolling, "maxUnavailable", "25%");
            set_null(rolling, "maxSurge", "25%");
        }
    }
    set_null(fields, "revisionHistoryLimit", 10);
    set_null(fields, "progressDeadlineSeconds", 600);
}

fn stateful_set(fields: &mut Fields) {
    set_unset(fields, "podManagementPolicy", "OrderedReady");
    if let Some(strategy) = make_object(fields, "updateStrategy") {
        if is_unset(strategy, "type") {
            strategy.insert("type".to_owned(), json!("RollingUpdate"));
            set_null(strategy, "rollingUpdate", Map::new());
        }
        if text(strategy, "type") == "RollingUpdate"
            && let Some(rolling) = object(strategy, "rollingUpdate")
        {
            set_null(rolling, "partition", 0);
        }
    }
    for template in objects(fields, "volumeClaimTemplates") {
        set_unset(template, "apiVersion", "v1");
        set_unset(template, "kind", "PersistentVolumeClaim");
    }
    if let Some(policy) = make_object(fields, "persistentVolumeClaimRetentionPolicy") {
        set_unset(policy, "whenDeleted", "Retain");
        set_unset(policy, "whenScaled", "Retain");
    }
    set_null(fields, "replicas", 1);
    set_null(fields, "revisionHistoryLimit", 10);
}

fn daemon_set(fields: &mut Fields) {
    if let Some(strategy) = make_object(fields, "updateStrategy") {
        set_unset(strategy, "type", "RollingUpdate");
        if text(strategy, "type") == "RollingUpdate"
            && let Some(rolling) = make_object(strategy, "rollingUpdate")
        {
            set_null(rolling, "maxUnavailable", 1);
            set_null(rolling, "maxSurge", 0);
        }
    }
    set_null(fields, "revisionHistoryLimit", 10);
}

fn job(fields: &mut Fields) {
    let labels = fields
        .get("spec")
        .map(|spec| spec["template"]["metadata"]["labels"].clone())
        .filter(|labels| !labels.is_null());
    if let (Some(labels), Some(metadata)) = (labels, make_object(fields, "metadata")) {
        set_unset(metadata, "labels", labels);
    }
    let Some(spec) = object(fields, "spec") else {
        return;
    };
    if is_null(spec, "parallelism") {
        set_null(spec, "completions", 1);
    }
    set_null(spec, "parallelism", 1);
    let limit = if is_null(spec, "backoffLimitPerIndex") {
        6
    } else {
        i32::MAX
    };
    set_null(spec, "backoffLimit", limit);
    set_null(spec, "completionMode", "NonIndexed");
    set_null(spec, "suspend", false);
    let replacement = if is_null(spec, "podFailurePolicy") {
        "TerminatingOrFailed"
    } else {
        "Failed"
    };
    set_null(spec, "podReplacementPolicy", replacement);
    set_null(spec, "manualSelector", false);
}
