//! Updates under load: nobody who calls notices.

use std::time::Duration;

use foreshore_engine_node::RuntimeKind;
use foreshore_testkit::cluster::Kind;
use foreshore_testkit::wait;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::Ingress;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::callers::{Callers, Tally, Wish};
use crate::edge::Edge;
use crate::fixture::Fixture;
use crate::objects::{ingress, make, probe, service, web};

/// Longer than any update of three pods takes.
const LIMIT: Duration = Duration::from_mins(2);

/// Web servers under a deployment, on the fixture's own node.
pub(crate) fn deployment(fixture: &Fixture, name: &str, replicas: u32) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": name } },
            "strategy": { "rollingUpdate": { "maxUnavailable": 0, "maxSurge": 1 } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": {
                    "nodeSelector": { "kubernetes.io/hostname": fixture.options.node_name },
                    "terminationGracePeriodSeconds": 5,
                    "containers": [{
                        "name": "main",
                        "image": fixture.image,
                        "args": ["web", "8080", name],
                        "env": [{ "name": "REVISION", "value": "0" }],
                        "readinessProbe": probe(),
                    }],
                },
            },
        },
    })
}

/// Waits until all pods are of the newest revision, and all answer.
pub(crate) async fn until_rolled_out(fixture: &Fixture, name: &str) {
    let api: Api<Deployment> = Api::namespaced(fixture.client.clone(), &fixture.name);
    wait::until("the update to be through", LIMIT, || async {
        let found = api.get(name).await.unwrap();
        let wanted = found.spec.as_ref().unwrap().replicas;
        let status = found.status.unwrap_or_default();
        status.observed_generation == found.metadata.generation
            && status.updated_replicas == wanted
            && status.available_replicas == wanted
            && status.replicas == wanted
    })
    .await
    .unwrap();
}

/// Changes what the pods are made from.
pub(crate) async fn update(fixture: &Fixture, name: &str, revision: u32) {
    let api: Api<Deployment> = Api::namespaced(fixture.client.clone(), &fixture.name);
    let container =
        json!({ "name": "main", "env": [{ "name": "REVISION", "value": revision.to_string() }] });
    let patch = json!({ "spec": { "template": { "spec": { "containers": [container] } } } });
    api.patch(name, &PatchParams::default(), &Patch::Strategic(patch))
        .await
        .unwrap();
}

pub(crate) fn check(tally: &Tally, requests_min: usize) {
    assert_eq!(tally.failed, 0, "{tally:?}");
    assert!(tally.answered >= requests_min, "{tally:?}");
}

pub(crate) async fn a_rolling_update_loses_no_request(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Sandbox).await;
    let edge = Edge::of(&fixture).await;
    make::<Deployment>(&fixture, deployment(&fixture, "shop", 3)).await;
    make::<Service>(&fixture, service("shop", "shop")).await;
    let host = format!("shop.{}.local", fixture.name);
    make::<Ingress>(&fixture, ingress(&host, "shop")).await;
    until_rolled_out(&fixture, "shop").await;
    edge.until(&host, "/", "shop /").await;
    let callers = Callers::start(&Wish {
        address: edge.address,
        host,
        per_second: 100,
        connections: 8,
    });
    for revision in 1..=2 {
        update(&fixture, "shop", revision).await;
        until_rolled_out(&fixture, "shop").await;
    }
    check(&callers.stop().await, 1);
    fixture.finish().await;
}

pub(crate) async fn an_ingress_that_changes_loses_no_request(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Sandbox).await;
    let edge = Edge::of(&fixture).await;
    web(&fixture, "shop").await;
    make::<Service>(&fixture, service("shop", "shop")).await;
    let host = format!("shop.{}.local", fixture.name);
    make::<Ingress>(&fixture, ingress(&host, "shop")).await;
    edge.until(&host, "/", "shop /").await;
    let callers = Callers::start(&Wish {
        address: edge.address,
        host: host.clone(),
        per_second: 100,
        connections: 8,
    });
    let api: Api<Ingress> = Api::namespaced(fixture.client.clone(), &fixture.name);
    for number in 1..=10 {
        // A second host beside the first; each is served before the next comes.
        let other = format!("shop-{number}.{}.local", fixture.name);
        let mut rules = ingress(&host, "shop")["spec"]["rules"].clone();
        let more = ingress(&other, "shop")["spec"]["rules"][0].clone();
        rules.as_array_mut().unwrap().push(more);
        let patch = json!({ "spec": { "rules": rules } });
        api.patch("shop", &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
        edge.until(&other, "/", "shop /").await;
    }
    check(&callers.stop().await, 1);
    fixture.finish().await;
}
