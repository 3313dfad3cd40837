//! Deployments from the first pod to the last.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DeleteParams, Patch, PatchParams, PropagationPolicy};
use serde_json::json;

use crate::kubelet::Kubelet;
use crate::world::{World, deployment, images};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_becomes_ready_and_its_service_finds_the_pods() {
    let world = World::start().await;
    let _kubelet = Kubelet::start(&world.client, "a").await;
    world.namespace("dev").await;
    world
        .apply::<Deployment>("dev", &deployment("web", 3, "web:1"))
        .await;
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]}});
    world.apply::<Service>("dev", &service).await;
    world.rolled_out("dev", "web").await;
    world
        .until(
            "dev",
            "three ready endpoints on 8080",
            |slices: &[EndpointSlice]| {
                slices.iter().any(|slice| {
                    let ports = slice.ports.clone().unwrap_or_default();
                    let endpoints = slice.endpoints.clone().unwrap_or_default();
                    let ready = endpoints
                        .iter()
                        .filter(|one| one.conditions.as_ref().unwrap().ready == Some(true));
                    ready.count() == 3 && ports.iter().any(|port| port.port == Some(8080))
                })
            },
        )
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_version_replaces_the_old_and_the_old_bytes_bring_it_back() {
    let world = World::start().await;
    let _kubelet = Kubelet::start(&world.client, "a").await;
    world.namespace("dev").await;
    for (image, revision) in [("web:1", "1"), ("web:2", "2"), ("web:1", "3")] {
        world
            .apply::<Deployment>("dev", &deployment("web", 3, image))
            .await;
        let done = world.rolled_out("dev", "web").await;
        assert_eq!(
            done.metadata.annotations.unwrap()["deployment.kubernetes.io/revision"],
            revision
        );
        world
            .until("dev", image, |pods: &[Pod]| images(pods) == [image; 3])
            .await;
    }
    assert_eq!(world.list::<ReplicaSet>("dev").await.len(), 2);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_version_leaves_the_old_pods_serving() {
    let world = World::start().await;
    let _kubelet = Kubelet::start(&world.client, "a").await;
    world.namespace("dev").await;
    world
        .apply::<Deployment>("dev", &deployment("web", 2, "web:1"))
        .await;
    world.rolled_out("dev", "web").await;
    world
        .apply::<Deployment>("dev", &deployment("web", 2, "broken:2"))
        .await;
    let stuck = |pods: &[Pod]| images(pods) == ["broken:2", "web:1", "web:1"];
    world
        .until("dev", "one broken pod beside two old ones", stuck)
        .await;
    world
        .apply::<Deployment>("dev", &deployment("web", 2, "web:1"))
        .await;
    world.rolled_out("dev", "web").await;
    world
        .until("dev", "only old pods", |pods: &[Pod]| {
            images(pods) == ["web:1", "web:1"]
        })
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_follow_the_scale() {
    let world = World::start().await;
    let _kubelet = Kubelet::start(&world.client, "a").await;
    world.namespace("dev").await;
    world
        .apply::<Deployment>("dev", &deployment("web", 1, "web:1"))
        .await;
    world.rolled_out("dev", "web").await;
    for replicas in [5, 2, 0] {
        let scale = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        world
            .api::<Deployment>("dev")
            .patch_scale("web", &PatchParams::default(), &scale)
            .await
            .unwrap();
        world.rolled_out("dev", "web").await;
        world
            .until("dev", "the pods", |pods: &[Pod]| pods.len() == replicas)
            .await;
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_a_deployment_takes_or_leaves_what_it_owns() {
    let world = World::start().await;
    let _kubelet = Kubelet::start(&world.client, "a").await;
    world.namespace("dev").await;
    for policy in [PropagationPolicy::Background, PropagationPolicy::Foreground] {
        world
            .apply::<Deployment>("dev", &deployment("web", 2, "web:1"))
            .await;
        world.rolled_out("dev", "web").await;
        let parameters = DeleteParams {
            propagation_policy: Some(policy),
            ..DeleteParams::default()
        };
        world
            .api::<Deployment>("dev")
            .delete("web", &parameters)
            .await
            .unwrap();
        world
            .until("dev", "no deployment", |all: &[Deployment]| all.is_empty())
            .await;
        world
            .until("dev", "no set", |all: &[ReplicaSet]| all.is_empty())
            .await;
        world
            .until("dev", "no pod", |all: &[Pod]| all.is_empty())
            .await;
    }
    world
        .apply::<Deployment>("dev", &deployment("web", 2, "web:1"))
        .await;
    world.rolled_out("dev", "web").await;
    let orphan = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Orphan),
        ..DeleteParams::default()
    };
    world
        .api::<Deployment>("dev")
        .delete("web", &orphan)
        .await
        .unwrap();
    world
        .until("dev", "no deployment", |all: &[Deployment]| all.is_empty())
        .await;
    world
        .until("dev", "a set of its own", |all: &[ReplicaSet]| {
            all.len() == 1
                && all[0]
                    .metadata
                    .owner_references
                    .as_ref()
                    .is_none_or(Vec::is_empty)
        })
        .await;
    assert_eq!(world.list::<Pod>("dev").await.len(), 2);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_pod_is_replaced() {
    let world = World::start().await;
    let _kubelet = Kubelet::start(&world.client, "a").await;
    world.namespace("dev").await;
    world
        .apply::<Deployment>("dev", &deployment("web", 1, "web:1"))
        .await;
    world.rolled_out("dev", "web").await;
    let first = world
        .list::<Pod>("dev")
        .await
        .remove(0)
        .metadata
        .name
        .unwrap();
    world
        .api::<Pod>("dev")
        .delete(&first, &DeleteParams::default())
        .await
        .unwrap();
    let other = |pods: &[Pod]| pods.len() == 1 && pods[0].metadata.name.as_ref() != Some(&first);
    world.until("dev", "another pod", other).await;
    world.rolled_out("dev", "web").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_of_virtual_nodes_become_ready_on_all_of_them() {
    let world = World::simulated(2).await;
    world.namespace("dev").await;
    world
        .apply::<Deployment>("dev", &deployment("web", 6, "web:1"))
        .await;
    world.rolled_out("dev", "web").await;
    let mut nodes: Vec<String> = world
        .list::<Pod>("dev")
        .await
        .into_iter()
        .filter_map(|pod| pod.spec?.node_name)
        .collect();
    nodes.sort();
    nodes.dedup();
    assert_eq!(nodes.len(), 2, "{nodes:?}");
    world.stop().await;
}
