//! Defaulting against forms recorded from the real server.

use serde_json::{Value, json};

use super::*;
use crate::conform;

#[track_caller]
fn check(group: &str, version: &str, plural: &str, mut object: Value, expected: &Value) {
    let schema = Schema::builtin();
    let resource = schema.resource(group, version, plural).unwrap();
    conform(schema.type_of(resource), &mut object);
    apply_defaults(resource, &mut object);
    assert_eq!(&object, expected);
    let once = object.clone();
    conform(schema.type_of(resource), &mut object);
    apply_defaults(resource, &mut object);
    assert_eq!(object, once, "doing it twice changes nothing");
}

#[test]
fn deployment_gets_strategy_limits_and_pod_template_defaults() {
    check(
        "apps",
        "v1",
        "deployments",
        json!({"metadata": {"name": "a"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}},
            "spec": {"containers": [{"name": "a", "image": "nginx", "ports": [{"containerPort": 80}], "resources": {"limits": {"cpu": "0.5"}}}]}}}}),
        &json!({"metadata": {"name": "a"}, "spec": {
            "replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
            "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {
                "containers": [{"name": "a", "image": "nginx", "imagePullPolicy": "Always", "ports": [{"containerPort": 80, "protocol": "TCP"}],
                    "resources": {"limits": {"cpu": "500m"}}, "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}],
                "dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "schedulerName": "default-scheduler", "securityContext": {}, "terminationGracePeriodSeconds": 30}}},
            "status": {}}),
    );
}

#[test]
fn pod_requests_follow_limits() {
    let schema = Schema::builtin();
    let resource = schema.resource("", "v1", "pods").unwrap();
    let mut pod = json!({"spec": {"containers": [{"name": "a", "image": "a:1", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m"}}}]}});
    conform(schema.type_of(resource), &mut pod);
    apply_defaults(resource, &mut pod);
    assert_eq!(
        pod["spec"]["containers"][0]["resources"]["requests"],
        json!({"cpu": "100m", "memory": "1Gi"})
    );
    assert_eq!(pod["spec"]["enableServiceLinks"], json!(true));
}

#[test]
fn service_ports_target_themselves() {
    check(
        "",
        "v1",
        "services",
        json!({"metadata": {"name": "a"}, "spec": {"ports": [{"port": 80}]}}),
        &json!({"metadata": {"name": "a"}, "spec": {"type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
            "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}]}, "status": {"loadBalancer": {}}}),
    );
}

#[test]
fn admission_tolerates_node_trouble_once() {
    let mut pod = json!({"spec": {"tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}]}});
    admit_pod(&mut pod);
    let once = pod.clone();
    admit_pod(&mut pod);
    assert_eq!(pod, once);
    assert_eq!(pod["spec"]["tolerations"].as_array().unwrap().len(), 2);
    assert_eq!(pod["spec"]["serviceAccountName"], json!("default"));
}

#[test]
fn quality_of_service_follows_requests_and_limits() {
    let class = |resources: Value| {
        let mut pod = json!({"spec": {"containers": [{"resources": resources}]}});
        complete_created_pod(&mut pod);
        pod["status"]["qosClass"].as_str().unwrap().to_owned()
    };
    assert_eq!(class(json!({})), "BestEffort");
    assert_eq!(class(json!({"requests": {"cpu": "1"}})), "Burstable");
    assert_eq!(
        class(
            json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1000m", "memory": "1Gi"}})
        ),
        "Guaranteed"
    );
}

#[derive(serde::Deserialize)]
struct Recorded {
    group: String,
    version: String,
    plural: String,
    input: Value,
    output: Value,
}

/// Fields that the server computes after defaulting, at creation only.
const COMPUTED: &[&str] = &[
    "/status",
    "/metadata/annotations",
    "/metadata/finalizers",
    "/spec/clusterIP",
    "/spec/clusterIPs",
    "/spec/ipFamilies",
    "/spec/ipFamilyPolicy",
    "/spec/finalizers",
];

#[test]
fn objects_are_defaulted_as_the_real_server_defaults_them() {
    let all: Vec<Recorded> = serde_json::from_str(include_str!("recorded.json")).unwrap();
    for one in all {
        let schema = Schema::builtin();
        let resource = schema
            .resource(&one.group, &one.version, &one.plural)
            .unwrap();
        let mut got = one.input.clone();
        conform(schema.type_of(resource), &mut got);
        apply_defaults(resource, &mut got);
        if one.plural == "nodes" {
            admit_node(&mut got);
        }
        let mut wanted = one.output.clone();
        for pointer in COMPUTED {
            let (parent, field) = pointer.rsplit_once('/').unwrap();
            for object in [&mut got, &mut wanted] {
                if let Some(object) = object.pointer_mut(parent).and_then(Value::as_object_mut) {
                    object.remove(field);
                }
            }
        }
        let pretty = |object: &Value| serde_json::to_string_pretty(object).unwrap();
        assert!(
            got == wanted,
            "{}\n got {}\nwant {}",
            one.plural,
            pretty(&got),
            pretty(&wanted)
        );
    }
}
