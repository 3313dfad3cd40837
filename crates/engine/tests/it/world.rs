//! An engine with a client, and ways to wait for what it should do.

use std::fmt::Debug;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use foreshore_engine::{Durability, Engine, Options, Storage};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event, Namespace, Pod, ServiceAccount};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Everything here takes milliseconds; the rest is for slow machines.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct World {
    pub(crate) client: Client,
    shutdown: CancellationToken,
    engine: JoinHandle<()>,
    _data: Option<tempfile::TempDir>,
}

impl World {
    /// Starts an engine that forgets everything at its end.
    pub(crate) async fn start() -> Self {
        Self::simulated(0).await
    }

    /// Such an engine with virtual nodes.
    pub(crate) async fn simulated(nodes: u8) -> Self {
        let data = tempfile::tempdir().unwrap();
        let world = Self::run(data.path(), Storage::Memory, nodes).await;
        Self {
            _data: Some(data),
            ..world
        }
    }

    /// Starts an engine over a folder that may hold the state of another.
    pub(crate) async fn open(data: &Path) -> Self {
        Self::run(data, Storage::Disk(Durability::Strict), 0).await
    }

    async fn run(data: &Path, storage: Storage, simulated_nodes: u8) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let options = Options {
            storage,
            simulated_nodes,
            ..Options::new(data.to_owned(), listener)
        };
        let shutdown = CancellationToken::new();
        let engine = Engine::start(options, shutdown.clone()).await.unwrap();
        let client = engine.client();
        let engine = tokio::spawn(async move { engine.wait().await.unwrap() });
        Self {
            client,
            shutdown,
            engine,
            _data: None,
        }
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.engine)
            .await
            .unwrap()
            .unwrap();
    }

    pub(crate) fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Creates a namespace and waits until pods may be created in it.
    pub(crate) async fn namespace(&self, name: &str) {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let namespace = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        api.create(&PostParams::default(), &namespace)
            .await
            .unwrap();
        self.until(name, "the account", |all: &[ServiceAccount]| {
            !all.is_empty()
        })
        .await;
    }

    /// Applies any namespaced object, server-side.
    pub(crate) async fn apply<K>(&self, namespace: &str, object: &Value)
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        let name = object["metadata"]["name"].as_str().unwrap();
        let parameters = PatchParams::apply("test").force();
        self.api::<K>(namespace)
            .patch(name, &parameters, &Patch::Apply(object))
            .await
            .unwrap();
    }

    pub(crate) async fn list<K>(&self, namespace: &str) -> Vec<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        self.api::<K>(namespace)
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
    }

    /// Waits until the objects of a kind are as they should be, and returns them.
    pub(crate) async fn until<K>(
        &self,
        namespace: &str,
        what: &str,
        holds: impl Fn(&[K]) -> bool,
    ) -> Vec<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let objects = self.list::<K>(namespace).await;
            if holds(&objects) {
                return objects;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "{what} did not come true: {objects:#?}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until a Deployment is rolled out in full.
    pub(crate) async fn rolled_out(&self, namespace: &str, name: &str) -> Deployment {
        let deployments = self
            .until(
                namespace,
                &format!("rollout of {name}"),
                |all: &[Deployment]| {
                    all.iter()
                        .any(|one| one.metadata.name.as_deref() == Some(name) && is_complete(one))
                },
            )
            .await;
        deployments
            .into_iter()
            .find(|one| one.metadata.name.as_deref() == Some(name))
            .unwrap()
    }

    /// Waits for an event with this reason and returns its message.
    pub(crate) async fn event(&self, namespace: &str, reason: &str) -> String {
        let is = |event: &Event| event.reason.as_deref() == Some(reason);
        let events = self
            .until(namespace, &format!("event {reason}"), |all: &[Event]| {
                all.iter().any(is)
            })
            .await;
        events
            .into_iter()
            .find(|event| is(event))
            .unwrap()
            .message
            .unwrap()
    }
}

fn is_complete(deployment: &Deployment) -> bool {
    let wanted = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1);
    let status = deployment.status.clone().unwrap_or_default();
    status.observed_generation >= deployment.metadata.generation
        && status.updated_replicas.unwrap_or(0) == wanted
        && status.available_replicas.unwrap_or(0) == wanted
        && status.replicas.unwrap_or(0) == wanted
}

pub(crate) fn deployment(name: &str, replicas: i32, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [
                    {"name": "main", "image": image, "ports": [{"name": "http", "containerPort": 8080}]},
                ]},
            },
        },
    })
}

/// The images of the pods that are not going away, sorted.
pub(crate) fn images(pods: &[Pod]) -> Vec<String> {
    let mut images: Vec<String> = pods
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .map(|pod| {
            pod.spec.as_ref().unwrap().containers[0]
                .image
                .clone()
                .unwrap()
        })
        .collect();
    images.sort();
    images
}
