//! Autoscaling from end to end: simulated pods say what they use, the metrics API serves it,
//! the autoscaler writes the scale, the Deployment follows.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::world::{World, deployment};

const MEMORY: &str = "foreshore.local/simulate-memory";

/// A Deployment whose pods ask for 64Mi each and use what they are told.
fn using(replicas: i32, memory: &str) -> Value {
    let mut object = deployment("web", replicas, "web:1");
    let template = &mut object["spec"]["template"];
    template["metadata"]["annotations"] = json!({MEMORY: memory});
    template["spec"]["containers"][0]["resources"] = json!({"requests": {"memory": "64Mi"}});
    object
}

/// Half of what was asked for should be used; sizes fall without a delay.
fn autoscaler(most: i32) -> Value {
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": 1, "maxReplicas": most,
            "metrics": [{"type": "Resource", "resource": {"name": "memory",
                "target": {"type": "Utilization", "averageUtilization": 50}}}],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
        },
    })
}

/// The number of pods the Deployment is asked to have.
async fn wanted(world: &World, what: &str, holds: impl Fn(i32) -> bool) {
    let replicas = |one: &Deployment| one.spec.as_ref().and_then(|spec| spec.replicas);
    world
        .until("dev", what, |all: &[Deployment]| {
            all.iter().any(|one| replicas(one).is_some_and(&holds))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_grows_and_shrinks_with_what_its_pods_use() {
    let world = World::simulated(2).await;
    world.namespace("dev").await;
    // Three quarters of the request where half is wanted: one and a half times the pods.
    world.apply::<Deployment>("dev", &using(2, "48Mi")).await;
    world.rolled_out("dev", "web").await;
    world
        .apply::<HorizontalPodAutoscaler>("dev", &autoscaler(9))
        .await;
    wanted(&world, "three pods", |replicas| replicas >= 3).await;
    let scalers = world
        .until("dev", "what it saw", |all: &[HorizontalPodAutoscaler]| {
            let status = all.first().and_then(|one| one.status.as_ref());
            status.is_some_and(|status| status.current_metrics.is_some())
        })
        .await;
    let status = scalers[0].status.clone().unwrap();
    let seen = &status.current_metrics.unwrap()[0].resource.clone().unwrap();
    assert_eq!(seen.current.average_utilization, Some(75));
    let conditions = status.conditions.unwrap_or_default();
    let active = conditions.iter().find(|one| one.type_ == "ScalingActive");
    assert_eq!(active.unwrap().status, "True");
    let message = world.event("dev", "SuccessfulRescale").await;
    assert!(message.starts_with("New size: "), "{message}");
    // New pods that are idle; a new wish makes it look at once instead of after a while.
    let idle = json!({"spec": {"template": {"metadata": {"annotations": {MEMORY: "1Mi"}}}}});
    let deployments = world.api::<Deployment>("dev");
    deployments
        .patch("web", &PatchParams::default(), &Patch::Merge(idle))
        .await
        .unwrap();
    world.rolled_out("dev", "web").await;
    world
        .apply::<HorizontalPodAutoscaler>("dev", &autoscaler(8))
        .await;
    wanted(&world, "one pod", |replicas| replicas == 1).await;
    world
        .until("dev", "the last pod", |pods: &[Pod]| pods.len() == 1)
        .await;
    world.stop().await;
}
