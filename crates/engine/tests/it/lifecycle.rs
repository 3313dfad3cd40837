//! Namespaces that come and go, and engines that are stopped half-way.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, ServiceAccount};
use kube::Api;
use kube::api::DeleteParams;
use serde_json::json;

use crate::kubelet::Kubelet;
use crate::world::{World, deployment, images};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_gets_an_account_and_the_certificate_authority() {
    let world = World::start().await;
    world.namespace("dev").await;
    world
        .until("dev", "the account", |all: &[ServiceAccount]| {
            all.len() == 1
        })
        .await;
    let maps = world
        .until("dev", "the certificate", |all: &[ConfigMap]| all.len() == 1)
        .await;
    let data = maps[0].data.as_ref().unwrap();
    assert!(data["ca.crt"].starts_with("-----BEGIN CERTIFICATE-----"));
    world
        .api::<ServiceAccount>("dev")
        .delete("default", &DeleteParams::default())
        .await
        .unwrap();
    world
        .until("dev", "the account again", |all: &[ServiceAccount]| {
            all.len() == 1
        })
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_namespace_takes_everything_with_it() {
    let world = World::start().await;
    let _kubelet = Kubelet::start(&world.client, "a").await;
    world.namespace("dev").await;
    world
        .apply::<Deployment>("dev", &deployment("web", 2, "web:1"))
        .await;
    let settings =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}});
    world.apply::<ConfigMap>("dev", &settings).await;
    world.rolled_out("dev", "web").await;
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    namespaces
        .delete("dev", &DeleteParams::default())
        .await
        .unwrap();
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    while let Some(namespace) = namespaces.get_opt("dev").await.unwrap() {
        assert!(tokio::time::Instant::now() < deadline, "{namespace:#?}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(world.list::<Pod>("dev").await.is_empty());
    assert!(world.list::<ConfigMap>("dev").await.is_empty());
    world.stop().await;
}

/// What is left of a rollout when nothing moves any more.
async fn outcome(world: &World) -> BTreeMap<String, Vec<String>> {
    let mut outcome = BTreeMap::new();
    for name in ["api", "web"] {
        world.rolled_out("dev", name).await;
    }
    let pods = world
        .until("dev", "only new pods", |pods: &[Pod]| {
            images(pods).iter().all(|image| image.ends_with(":2")) && pods.len() == 7
        })
        .await;
    for pod in pods {
        let app = pod.metadata.labels.as_ref().unwrap()["app"].clone();
        let image = pod.spec.unwrap().containers[0].image.clone().unwrap();
        outcome.entry(app).or_insert_with(Vec::new).push(image);
    }
    outcome
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engines_stopped_in_the_middle_reach_the_same_end() {
    let data = tempfile::tempdir().unwrap();
    let world = World::open(data.path()).await;
    world.namespace("dev").await;
    world
        .apply::<Deployment>("dev", &deployment("web", 4, "web:1"))
        .await;
    world
        .apply::<Deployment>("dev", &deployment("api", 3, "api:1"))
        .await;
    world.stop().await;

    // Each engine gets a little further, and is stopped at another moment.
    for moment in 0..4 {
        let world = World::open(data.path()).await;
        let _kubelet = Kubelet::start(&world.client, "a").await;
        world
            .until("dev", "some pods", |pods: &[Pod]| pods.len() >= moment)
            .await;
        if moment == 2 {
            world
                .apply::<Deployment>("dev", &deployment("web", 4, "web:2"))
                .await;
            world
                .apply::<Deployment>("dev", &deployment("api", 3, "api:2"))
                .await;
        }
        world.stop().await;
    }
    let world = World::open(data.path()).await;
    let _kubelet = Kubelet::start(&world.client, "a").await;
    let expected = BTreeMap::from([
        ("api".to_owned(), vec!["api:2".to_owned(); 3]),
        ("web".to_owned(), vec!["web:2".to_owned(); 4]),
    ]);
    assert_eq!(outcome(&world).await, expected);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_store_is_refused_with_the_page_about_it() {
    let data = tempfile::tempdir().unwrap();
    let world = World::open(data.path()).await;
    world.namespace("dev").await;
    world.stop().await;
    let stores = std::fs::read_dir(data.path()).unwrap();
    let mut paths: Vec<_> = stores.map(|entry| entry.unwrap().path()).collect();
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            let inner = std::fs::read_dir(&path).unwrap();
            paths.extend(inner.map(|entry| entry.unwrap().path()));
        } else if path.ends_with("objects.redb") {
            let length = path.metadata().unwrap().len();
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            file.set_len(length / 3).unwrap();
        }
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let options = foreshore_engine::Options::new(data.path().to_owned(), listener);
    let shutdown = tokio_util::sync::CancellationToken::new();
    let started = foreshore_engine::Engine::start(options, shutdown).await;
    let words = foreshore_model::chain(&started.err().unwrap());
    assert!(words.contains("is damaged"), "{words}");
    assert!(words.contains("docs/errors/store-damaged.md"), "{words}");
}
