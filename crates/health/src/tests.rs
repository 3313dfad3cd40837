//! The rules, one case for each branch.
#![expect(
    clippy::needless_pass_by_value,
    reason = "values are literals here, and read better without `&`"
)]

mod pods;
mod workloads;

use std::slice;
use std::time::Duration;

use foreshore_model::outcome::Cause;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{Context, Health, Options, Related, State, aggregate, assess};

/// The moment of every question.
pub(crate) fn now() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

pub(crate) fn ago(seconds: u64) -> String {
    (now() - Duration::from_secs(seconds)).to_string()
}

pub(crate) fn answer(object: &Value, related: &[Value], since_seconds: u64) -> Health {
    let related: Vec<&Value> = related.iter().collect();
    let options = Options::default();
    let context = Context {
        now: now(),
        since: now() - Duration::from_secs(since_seconds),
        applied: Some("100"),
        options: &options,
    };
    let listed = ["Service", "IngressClass"];
    assess(
        "X/x",
        Some(object),
        Related {
            objects: &related,
            listed: &listed,
        },
        &context,
    )
}

/// The one place that asks; `reason` is that of the first cause, empty for none.
#[track_caller]
pub(crate) fn check(object: &Value, related: &[Value], expected: State, reason: &str) {
    check_after(object, related, 1, expected, reason);
}

#[track_caller]
pub(crate) fn check_after(
    object: &Value,
    related: &[Value],
    seconds: u64,
    expected: State,
    reason: &str,
) {
    let health = answer(object, related, seconds);
    let found = health
        .causes
        .first()
        .map_or("", |cause| cause.reason.as_str());
    assert_eq!((health.state, found), (expected, reason), "{health:#?}");
}

/// An object of a kind with `extra` merged into it.
pub(crate) fn object(api_version: &str, kind: &str, extra: Value) -> Value {
    let mut made = json!({
        "apiVersion": api_version, "kind": kind,
        "metadata": {"name": "x", "uid": "uid-x", "resourceVersion": "100"},
    });
    merge(&mut made, extra);
    made
}

pub(crate) fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

/// `Type=Status:Reason`, some seconds old, as entries of `status.conditions`.
pub(crate) fn conditions(texts: &[&str]) -> Value {
    conditions_since(texts, 1)
}

pub(crate) fn conditions_since(texts: &[&str], seconds: u64) -> Value {
    let made = texts.iter().map(|text| {
        let (kind, rest) = text.split_once('=').unwrap();
        let (status, reason) = rest.split_once(':').unwrap_or((rest, ""));
        json!({"type": kind, "status": status, "reason": reason, "message": "m", "lastTransitionTime": ago(seconds)})
    });
    Value::Array(made.collect())
}

fn custom(status: Value) -> Value {
    object(
        "example.org/v1",
        "Widget",
        json!({"metadata": {"generation": 2}, "status": status}),
    )
}

#[test]
fn an_absent_object_is_missing() {
    let options = Options::default();
    let context = Context {
        now: now(),
        since: now(),
        applied: None,
        options: &options,
    };
    let health = assess("Deployment/web", None, Related::default(), &context);
    assert_eq!(health.state, State::Missing);
    assert_eq!(health.causes[0].object, "Deployment/web");
}

#[test]
fn the_common_order_comes_before_the_kind() {
    let leaving = json!({"metadata": {"deletionTimestamp": ago(1)}});
    check(
        &object("v1", "ConfigMap", leaving),
        &[],
        State::Terminating,
        "Terminating",
    );
    let old = json!({"metadata": {"resourceVersion": "99"}});
    check(
        &object("v1", "ConfigMap", old),
        &[],
        State::InProgress,
        "Stale",
    );
    let newer = json!({"metadata": {"resourceVersion": "1000"}});
    check(&object("v1", "ConfigMap", newer), &[], State::Current, "");
    let opaque = json!({"metadata": {"resourceVersion": "abc"}});
    check(&object("v1", "ConfigMap", opaque), &[], State::Current, "");
    check(
        &custom(json!({"observedGeneration": 1})),
        &[],
        State::InProgress,
        "NotObserved",
    );
    check(
        &custom(json!({"observedGeneration": 2})),
        &[],
        State::Current,
        "",
    );
    let unseen = json!({"metadata": {"generation": 1}, "status": {"replicas": 1}});
    check(
        &object("apps/v1", "ReplicaSet", unseen),
        &[],
        State::InProgress,
        "NotObserved",
    );
}

#[test]
fn standard_conditions_are_understood_on_any_kind() {
    check(
        &custom(json!({"conditions": conditions(&["Reconciling=True:Busy"])})),
        &[],
        State::InProgress,
        "Busy",
    );
    check(
        &custom(json!({"conditions": conditions(&["Stalled=True"])})),
        &[],
        State::Failed,
        "Stalled",
    );
    check(
        &custom(json!({"conditions": conditions(&["Ready=True"])})),
        &[],
        State::Current,
        "",
    );
    check(
        &custom(json!({"conditions": conditions(&["Ready=False:Building"])})),
        &[],
        State::InProgress,
        "Building",
    );
    let mut stale = conditions(&["Ready=True"]);
    stale[0]["observedGeneration"] = json!(1);
    check(
        &custom(json!({"conditions": stale})),
        &[],
        State::InProgress,
        "NotObserved",
    );
}

#[test]
fn an_empty_status_counts_as_in_progress_only_while_young_and_served() {
    let definition = object(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        json!({"spec": {"group": "example.org", "names": {"kind": "Widget"},
            "versions": [{"name": "v1", "subresources": {"status": {}}}]}}),
    );
    let around = [definition];
    check_after(
        &custom(json!({})),
        &around,
        1,
        State::InProgress,
        "NoStatus",
    );
    check_after(&custom(json!({})), &around, 10, State::Current, "");
    check_after(&custom(json!({})), &[], 1, State::Current, "");
}

#[test]
fn jobs_are_current_only_when_complete() {
    let job = |extra| object("batch/v1", "Job", extra);
    check(&job(json!({})), &[], State::InProgress, "NotStarted");
    check(
        &job(json!({"status": {"startTime": ago(1), "active": 1}})),
        &[],
        State::InProgress,
        "Running",
    );
    let with = |texts: &[&str]| {
        job(json!({"status": {"startTime": ago(1), "conditions": conditions(texts)}}))
    };
    check(
        &with(&["Failed=True:BackoffLimitExceeded"]),
        &[],
        State::Failed,
        "BackoffLimitExceeded",
    );
    check(&with(&["Failed=False"]), &[], State::InProgress, "Running");
    check(
        &with(&["FailureTarget=True:PodFailurePolicy"]),
        &[],
        State::Failed,
        "PodFailurePolicy",
    );
    check(&with(&["Complete=True"]), &[], State::Current, "");
    check(
        &with(&["Complete=False"]),
        &[],
        State::InProgress,
        "Running",
    );
    let suspended = json!({"spec": {"suspend": true}, "status": {"conditions": conditions(&["Suspended=True"])}});
    check(&job(suspended), &[], State::Suspended, "Suspended");
}

#[test]
fn cron_jobs_are_judged_by_their_last_run() {
    let cron = |extra| object("batch/v1", "CronJob", extra);
    check(
        &cron(json!({"spec": {"suspend": true}})),
        &[],
        State::Suspended,
        "Suspended",
    );
    check(&cron(json!({})), &[], State::Current, "");
    let status = |extra: Value| {
        let mut made = json!({"status": {"lastScheduleTime": ago(60)}});
        merge(&mut made, json!({"status": extra}));
        cron(made)
    };
    check(
        &status(json!({"active": [{"name": "x-1"}]})),
        &[],
        State::Current,
        "",
    );
    check(
        &status(json!({"lastSuccessfulTime": ago(30)})),
        &[],
        State::Current,
        "",
    );
    check(
        &status(json!({"lastSuccessfulTime": ago(90)})),
        &[],
        State::Degraded,
        "LastRunFailed",
    );
    check(&status(json!({})), &[], State::Degraded, "LastRunFailed");
}

#[test]
fn claims_wait_for_a_volume_unless_the_class_waits_for_a_pod() {
    let claim = |extra: Value| {
        let mut made = json!({"spec": {"storageClassName": "fast", "resources": {"requests": {"storage": "2Gi"}}}});
        merge(&mut made, extra);
        object("v1", "PersistentVolumeClaim", made)
    };
    let bound = |extra: Value| {
        let mut made = json!({"status": {"phase": "Bound", "capacity": {"storage": "2Gi"}}});
        merge(&mut made, extra);
        claim(made)
    };
    let class = object(
        "storage.k8s.io/v1",
        "StorageClass",
        json!({"metadata": {"name": "fast"}, "volumeBindingMode": "WaitForFirstConsumer"}),
    );
    let around = [class];
    check(&bound(json!({})), &[], State::Current, "");
    check(
        &bound(json!({"status": {"capacity": {"storage": "2G"}}})),
        &[],
        State::InProgress,
        "Resizing",
    );
    let resizing = json!({"status": {"conditions": conditions(&["FileSystemResizePending=True"])}});
    check(
        &bound(resizing),
        &[],
        State::InProgress,
        "FileSystemResizePending",
    );
    let failing = json!({"status": {"conditions": conditions(&["NodeResizeError=True"])}});
    check(&bound(failing), &[], State::Degraded, "NodeResizeError");
    check(
        &claim(json!({"status": {"phase": "Lost"}})),
        &[],
        State::Failed,
        "Lost",
    );
    let pending = json!({"status": {"phase": "Pending"}});
    check(&claim(pending.clone()), &[], State::InProgress, "Pending");
    check(
        &claim(pending.clone()),
        &around,
        State::Current,
        "WaitForFirstConsumer",
    );
    let mut chosen = pending;
    merge(
        &mut chosen,
        json!({"metadata": {"annotations": {"volume.kubernetes.io/selected-node": "n"}}}),
    );
    check(&claim(chosen), &around, State::InProgress, "Pending");
}

#[test]
fn services_need_the_address_their_type_promises() {
    let service = |spec| object("v1", "Service", json!({"spec": spec}));
    check(
        &service(json!({"type": "ExternalName"})),
        &[],
        State::Current,
        "",
    );
    check(
        &service(json!({"clusterIP": "None"})),
        &[],
        State::Current,
        "",
    );
    check(&service(json!({})), &[], State::InProgress, "NoAddress");
    check(
        &service(json!({"clusterIP": "10.96.0.7"})),
        &[],
        State::Current,
        "",
    );
    let mut balanced = service(json!({"type": "LoadBalancer", "clusterIP": "10.96.0.7"}));
    check(&balanced, &[], State::InProgress, "NoLoadBalancer");
    check_after(&balanced, &[], 600, State::Degraded, "NoLoadBalancer");
    merge(
        &mut balanced,
        json!({"status": {"loadBalancer": {"ingress": [{}]}}}),
    );
    check(&balanced, &[], State::InProgress, "NoLoadBalancer");
    merge(
        &mut balanced,
        json!({"status": {"loadBalancer": {"ingress": [{"hostname": "lb"}]}}}),
    );
    check(&balanced, &[], State::Current, "");
}

#[test]
fn ingresses_wait_for_an_address_only_where_one_is_published() {
    let ingress = |name: &str, extra: Value| {
        let mut made = json!({"metadata": {"name": name, "uid": name}, "spec": {"rules": [
            {"http": {"paths": [{"backend": {"service": {"name": "web"}}}]}}]}});
        merge(&mut made, extra);
        object("networking.k8s.io/v1", "Ingress", made)
    };
    let address = json!({"status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}});
    let web = object("v1", "Service", json!({"metadata": {"name": "web"}}));
    let empty = ingress("x", json!({}));
    check(&empty, &[], State::Degraded, "NoBackend");
    check(&empty, slice::from_ref(&web), State::Current, "");
    check(&empty, &[web.clone(), empty.clone()], State::Current, "");
    check(
        &empty,
        &[web.clone(), ingress("y", address.clone())],
        State::InProgress,
        "NoAddress",
    );
    check(
        &ingress("x", address),
        slice::from_ref(&web),
        State::Current,
        "",
    );
    let classed = ingress("x", json!({"spec": {"ingressClassName": "shore"}}));
    check(
        &classed,
        slice::from_ref(&web),
        State::Degraded,
        "NoIngressClass",
    );
    let class = object(
        "networking.k8s.io/v1",
        "IngressClass",
        json!({"metadata": {"name": "shore"}}),
    );
    check(&classed, &[web, class], State::Current, "");
}

#[test]
fn autoscalers_never_fail() {
    let scaler = |texts: &[&str]| {
        object(
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            json!({"status": {"conditions": conditions(texts)}}),
        )
    };
    check(&scaler(&[]), &[], State::InProgress, "NotObserved");
    check(
        &scaler(&["AbleToScale=False:FailedGetScale"]),
        &[],
        State::Degraded,
        "FailedGetScale",
    );
    check(
        &scaler(&["ScalingActive=False:ScalingDisabled"]),
        &[],
        State::Suspended,
        "ScalingDisabled",
    );
    let blind = scaler(&["ScalingActive=False:FailedGetResourceMetric"]);
    check_after(
        &blind,
        &[],
        299,
        State::InProgress,
        "FailedGetResourceMetric",
    );
    check_after(&blind, &[], 300, State::Degraded, "FailedGetResourceMetric");
    check(
        &scaler(&["AbleToScale=True", "ScalingLimited=True:TooManyReplicas"]),
        &[],
        State::Current,
        "TooManyReplicas",
    );
    check(
        &scaler(&["AbleToScale=True", "ScalingActive=True"]),
        &[],
        State::Current,
        "",
    );
}

#[test]
fn disruption_budgets_fail_only_when_they_cannot_be_computed() {
    let budget = |texts: &[&str]| {
        object(
            "policy/v1",
            "PodDisruptionBudget",
            json!({"status": {"conditions": conditions(texts)}}),
        )
    };
    check(&budget(&[]), &[], State::InProgress, "NotObserved");
    check(
        &budget(&["DisruptionAllowed=False:InsufficientPods"]),
        &[],
        State::Current,
        "InsufficientPods",
    );
    check(
        &budget(&["DisruptionAllowed=False:SyncFailed"]),
        &[],
        State::Failed,
        "SyncFailed",
    );
    check(
        &budget(&["DisruptionAllowed=True:SufficientPods"]),
        &[],
        State::Current,
        "",
    );
}

#[test]
fn definitions_are_current_when_served() {
    let definition = |texts: &[&str]| {
        object(
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            json!({"status": {"conditions": conditions(texts)}}),
        )
    };
    check(&definition(&[]), &[], State::InProgress, "NotEstablished");
    check(&definition(&["Established=True"]), &[], State::Current, "");
    check(
        &definition(&["Established=True", "Terminating=True"]),
        &[],
        State::Terminating,
        "Terminating",
    );
    check(
        &definition(&["NamesAccepted=False:ListKindConflict"]),
        &[],
        State::Failed,
        "ListKindConflict",
    );
    check(
        &definition(&["NonStructuralSchema=True"]),
        &[],
        State::Failed,
        "NonStructuralSchema",
    );
    check(
        &definition(&["Established=False:Installing"]),
        &[],
        State::InProgress,
        "Installing",
    );
    check(
        &definition(&["Established=False:NotAccepted"]),
        &[],
        State::Failed,
        "NotAccepted",
    );
}

#[test]
fn plain_objects_are_current_when_present() {
    for kind in ["ConfigMap", "Secret", "ServiceAccount"] {
        check(&object("v1", kind, json!({})), &[], State::Current, "");
    }
    check(
        &object("v1", "Namespace", json!({"status": {"phase": "Active"}})),
        &[],
        State::Current,
        "",
    );
    check(
        &object(
            "v1",
            "Namespace",
            json!({"status": {"phase": "Terminating"}}),
        ),
        &[],
        State::Terminating,
        "Terminating",
    );
    let service = |texts: &[&str]| {
        object(
            "apiregistration.k8s.io/v1",
            "APIService",
            json!({"status": {"conditions": conditions(texts)}}),
        )
    };
    check(&service(&["Available=True"]), &[], State::Current, "");
    check(
        &service(&["Available=False:MissingEndpoints"]),
        &[],
        State::InProgress,
        "MissingEndpoints",
    );
    check(&service(&[]), &[], State::InProgress, "NotAvailable");
}

#[test]
fn the_worst_state_wins_and_its_causes_come_first() {
    let cause = |reason: &str| Cause {
        object: "Pod/x".to_owned(),
        container: None,
        reason: reason.to_owned(),
        message: String::new(),
        exit_code: None,
        log: Vec::new(),
    };
    let health = |state, reasons: &[&str]| Health {
        state,
        causes: reasons.iter().map(|reason| cause(reason)).collect(),
    };
    let order = [
        State::Current,
        State::Suspended,
        State::InProgress,
        State::Missing,
        State::Degraded,
        State::Failed,
        State::Unknown,
    ];
    assert!(order.is_sorted());
    assert_eq!(aggregate([]).state, State::Current);
    let answers = [
        health(State::Current, &["note"]),
        health(State::InProgress, &["a", "b"]),
        health(State::Failed, &["c", "c"]),
    ];
    let all = aggregate(&answers);
    let reasons: Vec<&str> = all
        .causes
        .iter()
        .map(|cause| cause.reason.as_str())
        .collect();
    assert_eq!((all.state, reasons), (State::Failed, vec!["c", "a", "b"]));
    let unknown = [health(State::Unknown, &[]), health(State::Failed, &[])];
    assert_eq!(
        aggregate(&unknown).state,
        State::Failed,
        "a failure ends a rollout whatever else is unknown"
    );
    assert_eq!(aggregate(&unknown[..1]).state, State::Unknown);
}
