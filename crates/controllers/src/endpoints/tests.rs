//! Rules of `EndpointSlices`, in a world that applies what is decided.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};

use super::{Inputs, decide};
use crate::change::Change;

fn service(extra: &Value) -> Service {
    let mut service = json!({
        "metadata": {"name": "web", "namespace": "dev", "uid": "service", "labels": {"team": "a"}},
        "spec": {"clusterIP": "10.96.0.7", "selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]},
    });
    for (key, value) in extra.as_object().unwrap() {
        service["spec"][key] = value.clone();
    }
    serde_json::from_value(service).unwrap()
}

fn pod(number: usize, port: u16, state: &str) -> Arc<Pod> {
    let ready = if state == "starting" { "False" } else { "True" };
    let mut pod = json!({
        "metadata": {"name": format!("web-{number}"), "namespace": "dev", "uid": format!("{number:04}"),
            "labels": {"app": "web"}},
        "spec": {"nodeName": "a", "containers": [
            {"name": "web", "ports": [{"name": "http", "containerPort": port}]},
        ]},
        "status": {"phase": "Running", "podIP": format!("10.244.{}.{}", number / 200, number % 200 + 2),
            "conditions": [{"type": "Ready", "status": ready}]},
    });
    match state {
        "terminating" => pod["metadata"]["deletionTimestamp"] = json!("1970-01-01T00:00:00Z"),
        "failed" => pod["status"]["phase"] = json!("Failed"),
        "addressless" => pod["status"]["podIP"] = json!(""),
        _ => {}
    }
    Arc::new(serde_json::from_value(pod).unwrap())
}

/// Decides until nothing is asked for, and returns the slices.
fn settle(
    service: &Service,
    pods: &[Arc<Pod>],
    slices: &[Arc<EndpointSlice>],
) -> (Vec<Arc<EndpointSlice>>, usize) {
    let zones = BTreeMap::from([("a".to_owned(), "north".to_owned())]);
    let mut slices = slices.to_vec();
    let changes = decide(&Inputs {
        service,
        pods,
        slices: &slices,
        zones: &zones,
    });
    let count = changes.len();
    for change in changes {
        match change {
            Change::Create { body, .. } => {
                slices.push(Arc::new(serde_json::from_value(body).unwrap()));
            }
            Change::Delete { target, .. } => {
                slices.retain(|slice| slice.metadata.name.as_deref() != Some(&target.name));
            }
            Change::Patch { target, body, .. } => {
                let slice = slices
                    .iter_mut()
                    .find(|slice| slice.metadata.name.as_deref() == Some(&target.name));
                let slice = slice.unwrap();
                let mut value = serde_json::to_value(slice.as_ref()).unwrap();
                for field in ["endpoints", "ports"] {
                    if let Some(new) = body.get(field) {
                        value[field] = new.clone();
                    }
                }
                *slice = Arc::new(serde_json::from_value(value).unwrap());
            }
            other => panic!("{other:?}"),
        }
    }
    let again = decide(&Inputs {
        service,
        pods,
        slices: &slices,
        zones: &zones,
    });
    assert_eq!(again, vec![], "deciding twice asks for more");
    (slices, count)
}

/// The endpoints as `address port flags`, over all slices.
#[track_caller]
fn check(service: &Service, pods: &[Arc<Pod>], expected: &[&str]) {
    let (slices, _) = settle(service, pods, &[]);
    let mut lines = Vec::new();
    for slice in &slices {
        let ports = slice.ports.clone().unwrap_or_default();
        let ports: Vec<String> = ports
            .iter()
            .map(|port| port.port.unwrap().to_string())
            .collect();
        for endpoint in slice.endpoints.iter().flatten() {
            let conditions = endpoint.conditions.clone().unwrap();
            let flag = |set: Option<bool>, name: &'static str| set.filter(|&set| set).map(|_| name);
            let flags: Vec<_> = [
                flag(conditions.ready, "ready"),
                flag(conditions.serving, "serving"),
                flag(conditions.terminating, "terminating"),
            ]
            .into_iter()
            .flatten()
            .collect();
            lines.push(format!(
                "{} {} {}",
                endpoint.addresses[0],
                ports.join(","),
                flags.join(" ")
            ));
        }
    }
    lines.sort();
    assert_eq!(lines, expected);
}

#[test]
fn readiness_and_termination_are_told_apart() {
    let pods = [
        pod(0, 8080, "ready"),
        pod(1, 8080, "starting"),
        pod(2, 8080, "terminating"),
        pod(3, 8080, "failed"),
    ];
    check(
        &service(&json!({})),
        &pods,
        &[
            "10.244.0.2 8080 ready serving",
            "10.244.0.3 8080 ",
            "10.244.0.4 8080 serving terminating",
        ],
    );
}

#[test]
fn publishing_unready_addresses_makes_all_ready() {
    let service = service(&json!({"publishNotReadyAddresses": true}));
    check(
        &service,
        &[pod(0, 8080, "starting")],
        &["10.244.0.2 8080 ready serving"],
    );
}

#[test]
fn pods_whose_named_port_differs_get_slices_of_their_own() {
    let pods = [pod(0, 8080, "ready"), pod(1, 9090, "ready")];
    check(
        &service(&json!({})),
        &pods,
        &[
            "10.244.0.2 8080 ready serving",
            "10.244.0.3 9090 ready serving",
        ],
    );
}

#[test]
fn a_slice_leads_back_to_its_service() {
    let (slices, _) = settle(
        &service(&json!({"clusterIP": "None"})),
        &[pod(0, 8080, "ready")],
        &[],
    );
    let labels = slices[0].metadata.labels.clone().unwrap();
    assert_eq!(labels[super::SERVICE_NAME], "web");
    assert_eq!(labels[super::MANAGED_BY], super::MANAGER);
    assert_eq!(labels["team"], "a");
    assert!(labels.contains_key(super::HEADLESS));
    assert_eq!(
        slices[0].metadata.owner_references.as_ref().unwrap()[0].uid,
        "service"
    );
    assert_eq!(
        slices[0].endpoints.as_ref().unwrap()[0].zone.as_deref(),
        Some("north")
    );
}

#[test]
fn a_service_nobody_answers_has_one_empty_slice() {
    let (slices, _) = settle(&service(&json!({})), &[pod(0, 8080, "addressless")], &[]);
    assert_eq!(slices.len(), 1);
    assert_eq!(slices[0].endpoints.as_ref().map_or(0, Vec::len), 0);
}

#[test]
fn one_slice_holds_a_hundred_and_a_change_touches_one() {
    let mut pods: Vec<_> = (0..250).map(|number| pod(number, 8080, "ready")).collect();
    let (slices, _) = settle(&service(&json!({})), &pods, &[]);
    let mut sizes: Vec<usize> = slices
        .iter()
        .map(|slice| slice.endpoints.as_ref().unwrap().len())
        .collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [50, 100, 100]);
    pods[17] = pod(17, 8080, "starting");
    let (_, changes) = settle(&service(&json!({})), &pods, &slices);
    assert_eq!(changes, 1);
}

#[test]
fn a_service_that_loses_its_selector_gives_up_its_slices() {
    let (slices, _) = settle(&service(&json!({})), &[pod(0, 8080, "ready")], &[]);
    let (slices, _) = settle(
        &service(&json!({"selector": null})),
        &[pod(0, 8080, "ready")],
        &slices,
    );
    assert_eq!(slices, Vec::<Arc<EndpointSlice>>::new());
}

#[test]
fn slices_written_by_others_are_left_alone() {
    let other: EndpointSlice = serde_json::from_value(json!({
        "metadata": {"name": "mine", "namespace": "dev", "labels": {super::SERVICE_NAME: "web"}},
        "addressType": "IPv4", "endpoints": [],
    }))
    .unwrap();
    let (slices, _) = settle(
        &service(&json!({"selector": null})),
        &[],
        &[Arc::new(other)],
    );
    assert_eq!(slices.len(), 1);
}
