//! Pods that find a node, and pods that are told why not.

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use crate::kubelet::Kubelet;
use crate::world::World;

fn pod(name: &str, cpu: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [
        {"name": "main", "image": "web:1", "resources": {"requests": {"cpu": cpu}}},
    ]}})
}

fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

fn is_unschedulable(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| {
        condition.type_ == "PodScheduled"
            && condition.status == "False"
            && condition.reason.as_deref() == Some("Unschedulable")
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_too_big_is_told_so_and_runs_when_a_node_has_room() {
    let world = World::start().await;
    let _a = Kubelet::start(&world.client, "a").await;
    world.namespace("dev").await;
    world.apply::<Pod>("dev", &pod("first", "3")).await;
    world
        .until("dev", "the first is placed", |pods: &[Pod]| {
            node_of(&pods[0]) == Some("a")
        })
        .await;
    world.apply::<Pod>("dev", &pod("second", "2")).await;
    let message = world.event("dev", "FailedScheduling").await;
    assert_eq!(message, "0/1 nodes are available: 1 Insufficient cpu.");
    // The event and the condition are two writes; either may be seen first.
    world
        .until(
            "dev",
            "the second carries the condition",
            |pods: &[Pod]| pods.iter().any(is_unschedulable),
        )
        .await;

    let _b = Kubelet::start(&world.client, "b").await;
    world
        .until("dev", "the second is placed", |pods: &[Pod]| {
            pods.iter().any(|pod| node_of(pod) == Some("b"))
        })
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_pods_at_once_never_overfill_a_node() {
    let world = World::start().await;
    let _kubelets = [
        Kubelet::start(&world.client, "a").await,
        Kubelet::start(&world.client, "b").await,
    ];
    world.namespace("dev").await;
    for number in 0..10 {
        world
            .apply::<Pod>("dev", &pod(&format!("pod-{number}"), "1"))
            .await;
    }
    let pods = world
        .until("dev", "eight are placed", |pods: &[Pod]| {
            pods.iter().filter(|pod| node_of(pod).is_some()).count() == 8
        })
        .await;
    for node in ["a", "b"] {
        assert_eq!(
            pods.iter().filter(|pod| node_of(pod) == Some(node)).count(),
            4,
            "on {node}"
        );
    }
    world.stop().await;
}
