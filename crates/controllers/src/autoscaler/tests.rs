//! Sizes, limits and conditions for measured usage.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::{Decision, Inputs, Memory, PodUsage, Scale, Usage, decide};
use crate::change::{Change, Kind, Part, Target};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).unwrap()
}

fn autoscaler(extra: &Value) -> HorizontalPodAutoscaler {
    let mut object = json!({
        "metadata": {"name": "web", "namespace": "dev", "uid": "hpa", "resourceVersion": "1"},
        "spec": {
            "minReplicas": 1, "maxReplicas": 10,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "metrics": [{"type": "Resource", "resource": {
                "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50},
            }}],
        },
    });
    for (key, value) in extra.as_object().unwrap() {
        object["spec"][key] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

/// A pod that requests one processor and has been ready for an hour.
fn pod(name: &str, phase: &str) -> Arc<Pod> {
    let pod = json!({
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}]},
        "status": {
            "phase": phase, "startTime": at(-3600).to_string(),
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": at(-3590).to_string()}],
        },
    });
    Arc::new(serde_json::from_value(pod).unwrap())
}

fn used(milli: i128) -> PodUsage {
    let amounts = BTreeMap::from([
        ("cpu".to_owned(), milli),
        ("memory".to_owned(), milli * 1_000_000),
    ]);
    PodUsage {
        at: at(0),
        window: SignedDuration::from_secs(15),
        containers: BTreeMap::from([("main".to_owned(), amounts)]),
    }
}

/// Usage of each pod in thousandths of a processor; none: no sample.
fn world(samples: &[Option<i128>]) -> (Vec<Arc<Pod>>, Usage) {
    let names: Vec<String> = (0..samples.len())
        .map(|index| format!("web-{index}"))
        .collect();
    let pods = names.iter().map(|name| pod(name, "Running")).collect();
    let usage = names.into_iter().zip(samples);
    let usage = usage.filter_map(|(name, sample)| Some((name, used((*sample)?))));
    (pods, usage.collect())
}

fn run(
    object: &HorizontalPodAutoscaler,
    pods: &[Arc<Pod>],
    usage: &Usage,
    memory: &Memory,
    seconds: i64,
) -> Decision {
    let size = i32::try_from(pods.len()).unwrap();
    let scale = Scale {
        target: Target {
            kind: Kind::of::<k8s_openapi::api::apps::v1::Deployment>(),
            namespace: Some("dev".to_owned()),
            name: "web".to_owned(),
        },
        wanted: size,
        current: size,
    };
    let inputs = Inputs {
        autoscaler: object,
        scale: Ok(&scale),
        pods,
        usage: Ok(usage),
        memory,
    };
    decide(&inputs, at(seconds))
}

fn size(decision: &Decision) -> Option<i64> {
    decision.changes.iter().find_map(|change| match change {
        Change::Patch {
            part: Part::Scale,
            body,
            ..
        } => body["spec"]["replicas"].as_i64(),
        _ => None,
    })
}

fn status(decision: &Decision) -> Value {
    let mut patches = decision.changes.iter().filter_map(|change| match change {
        Change::Patch {
            part: Part::Status,
            body,
            ..
        } => Some(body["status"].clone()),
        _ => None,
    });
    patches.next().unwrap()
}

fn reason(decision: &Decision, kind: &str) -> String {
    let status = status(decision);
    let conditions = status["conditions"].as_array().unwrap();
    let condition = conditions.iter().find(|one| one["type"] == kind).unwrap();
    format!(
        "{} {}",
        condition["status"].as_str().unwrap(),
        condition["reason"].as_str().unwrap()
    )
}

/// Immediate scaling both ways, so that only the arithmetic shows.
fn quick() -> Value {
    json!({"behavior": {
        "scaleDown": {"stabilizationWindowSeconds": 0},
        "scaleUp": {"stabilizationWindowSeconds": 0, "policies": [{"type": "Percent", "value": 900, "periodSeconds": 15}]},
    }})
}

#[track_caller]
fn check(samples: &[Option<i128>], expected: Option<i64>) {
    let (pods, usage) = world(samples);
    // The first decision remembers the size it found; the second is free of it.
    let decision = run(&autoscaler(&quick()), &pods, &usage, &Memory::default(), 0);
    assert_eq!(size(&decision), expected, "{samples:?}");
}

#[test]
fn usage_above_the_target_asks_for_more_and_below_for_less() {
    check(&[Some(1000), Some(1000)], Some(4));
    check(&[Some(600), Some(700)], Some(3));
    check(&[Some(100), Some(100), Some(100), Some(100)], Some(1));
    check(&[Some(0), Some(0)], Some(1));
}

#[test]
fn a_small_deviation_changes_nothing() {
    check(&[Some(540), Some(550)], None);
    check(&[Some(460), Some(455)], None);
}

#[test]
fn a_missing_sample_speaks_against_the_change() {
    // Up: as if the third used nothing; down: as if it used all it asked for.
    check(&[Some(1000), Some(1000), None], Some(4));
    check(&[Some(600), Some(600), None], None);
    check(&[Some(100), Some(100), None], None);
    check(&[Some(100), Some(100), Some(0), None], Some(3));
}

#[test]
fn a_pending_pod_dampens_growth() {
    let (mut pods, usage) = world(&[Some(1000), Some(1000)]);
    pods.push(pod("web-9", "Pending"));
    let decision = run(&autoscaler(&quick()), &pods, &usage, &Memory::default(), 0);
    assert_eq!(size(&decision), Some(4));
}

#[test]
fn a_value_target_is_met_on_average() {
    let metrics = json!([{"type": "Resource", "resource": {
        "name": "memory", "target": {"type": "AverageValue", "averageValue": "100k"},
    }}]);
    let mut spec = quick();
    spec["metrics"] = metrics;
    let (pods, usage) = world(&[Some(300), Some(100)]);
    let decision = run(&autoscaler(&spec), &pods, &usage, &Memory::default(), 0);
    assert_eq!(size(&decision), Some(4));
    assert_eq!(reason(&decision, "ScalingActive"), "True ValidMetricFound");
    let current = &status(&decision)["currentMetrics"][0]["resource"]["current"];
    assert_eq!(current["averageValue"], "200000");
}

#[test]
fn growth_without_a_behavior_at_most_doubles_or_reaches_four() {
    let (pods, usage) = world(&[Some(5000)]);
    let decision = run(
        &autoscaler(&json!({})),
        &pods,
        &usage,
        &Memory::default(),
        0,
    );
    assert_eq!(size(&decision), Some(4));
    assert_eq!(reason(&decision, "ScalingLimited"), "True ScaleUpLimit");
    let (pods, usage) = world(&[Some(5000); 8]);
    let decision = run(
        &autoscaler(&json!({})),
        &pods,
        &usage,
        &Memory::default(),
        0,
    );
    assert_eq!(size(&decision), Some(10));
    assert_eq!(reason(&decision, "ScalingLimited"), "True TooManyReplicas");
}

#[test]
fn the_size_goes_down_only_after_the_window() {
    let (pods, usage) = world(&[Some(0), Some(0)]);
    let object = autoscaler(&json!({}));
    let first = run(&object, &pods, &usage, &Memory::default(), 0);
    assert_eq!(size(&first), None);
    assert_eq!(reason(&first, "AbleToScale"), "True ScaleDownStabilized");
    let later = run(&object, &pods, &usage, &first.memory, 299);
    assert_eq!(size(&later), None);
    let last = run(&object, &pods, &usage, &later.memory, 301);
    assert_eq!(size(&last), Some(1));
    assert_eq!(status(&last)["desiredReplicas"], 1);
}

#[test]
fn policies_limit_how_much_changes_in_a_period() {
    let slow = json!({"behavior": {
        "scaleUp": {"policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}]},
        "scaleDown": {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]},
    }});
    let object = autoscaler(&slow);
    let (pods, usage) = world(&[Some(5000), Some(5000)]);
    let first = run(&object, &pods, &usage, &Memory::default(), 0);
    assert_eq!(size(&first), Some(4));
    let (pods, usage) = world(&[Some(5000); 4]);
    let second = run(&object, &pods, &usage, &first.memory, 15);
    assert_eq!(size(&second), None);
    let third = run(&object, &pods, &usage, &second.memory, 61);
    assert_eq!(size(&third), Some(6));
    let (pods, usage) = world(&[Some(0); 4]);
    let down = run(&object, &pods, &usage, &Memory::default(), 0);
    assert_eq!(size(&down), Some(3));
    assert_eq!(reason(&down, "ScalingLimited"), "True ScaleDownLimit");
}

#[test]
fn a_size_outside_the_limits_is_brought_inside_without_any_metric() {
    let (pods, usage) = world(&[Some(500)]);
    let object = autoscaler(&json!({"minReplicas": 3}));
    let decision = run(&object, &pods, &usage, &Memory::default(), 0);
    assert_eq!(size(&decision), Some(3));
    let (pods, _) = world(&[None; 3]);
    let object = autoscaler(&json!({"maxReplicas": 2}));
    let decision = run(&object, &pods, &Usage::new(), &Memory::default(), 0);
    assert_eq!(size(&decision), Some(2));
}

#[test]
fn without_metrics_nothing_is_scaled_and_that_is_told() {
    let (pods, usage) = world(&[None, None]);
    let decision = run(
        &autoscaler(&json!({})),
        &pods,
        &usage,
        &Memory::default(),
        0,
    );
    assert_eq!(size(&decision), None);
    assert_eq!(
        reason(&decision, "ScalingActive"),
        "False FailedGetResourceMetric"
    );
    let custom = json!({"metrics": [{"type": "External", "external": {
        "metric": {"name": "queue"}, "target": {"type": "Value", "value": "1"},
    }}]});
    let decision = run(&autoscaler(&custom), &pods, &usage, &Memory::default(), 0);
    assert_eq!(
        reason(&decision, "ScalingActive"),
        "False FailedGetExternalMetric"
    );
}

#[test]
fn a_target_of_no_replicas_is_left_alone() {
    let decision = run(
        &autoscaler(&json!({})),
        &[],
        &Usage::new(),
        &Memory::default(),
        0,
    );
    assert_eq!(size(&decision), None);
    assert_eq!(reason(&decision, "ScalingActive"), "False ScalingDisabled");
}
