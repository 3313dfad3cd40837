//! The platform that is measured: an engine and a node as processes of the
//! built program, and one image.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use foreshore_image::{Entry, PackOptions, Store, pack};
use foreshore_sys::Ground;
use foreshore_testkit::cluster::{self, Cluster, NodeOptions, Runtime};
use foreshore_testkit::{TempDir, wait};
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::numbers;

/// Where the measured servers listen.
pub(crate) const PORT: u16 = 8080;
const NODE: &str = "bench";
const NAMESPACE: &str = "bench";
pub(crate) const LIMIT: Duration = Duration::from_mins(3);

/// The measured platform; fields are dropped in this order.
pub(crate) struct Stage {
    pub client: Client,
    /// Where services answer by host name.
    pub ingress: SocketAddr,
    cluster: Cluster,
    image: String,
    pub folder: TempDir,
}

impl Stage {
    pub(crate) async fn start() -> Result<Self> {
        let folder = TempDir::new("bench-pods")?;
        let data = folder.join("cluster");
        let options = cluster::Options {
            data: Some(data.clone()),
            ..cluster::Options::default()
        };
        let mut cluster = Cluster::engine(options).await?;
        let images = data.join("nodes").join(NODE).join("images");
        std::fs::create_dir_all(&images).context("cannot make the folder of images")?;
        let image = pack_this(&Store::open(&images)?)?;
        let ingress = free_address()?;
        let node = NodeOptions {
            ingress: Some(ingress),
            ..NodeOptions::new(NODE, Runtime::Sandbox)
        };
        cluster.add_node(node).await?;
        let client = cluster.client().await?;
        let stage = Self {
            client,
            ingress,
            cluster,
            image,
            folder,
        };
        stage.prepare().await?;
        Ok(stage)
    }

    async fn prepare(&self) -> Result<()> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let namespace = serde_json::from_value(json!({ "metadata": { "name": NAMESPACE } }))?;
        api.create(&PostParams::default(), &namespace).await?;
        let accounts: Api<ServiceAccount> = self.api();
        wait::until("the default service account", LIMIT, || async {
            accounts
                .get_opt("default")
                .await
                .is_ok_and(|found| found.is_some())
        })
        .await?;
        // The first pod unpacks the image, which no later one does.
        self.create_pod("first", &["sleep"], |_| {}).await?;
        self.until_ready("first").await?;
        self.remove_pods().await
    }

    pub(crate) fn ground(&self) -> Result<&Ground> {
        self.cluster.ground().context("the cluster is ours")
    }

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    pub(crate) async fn create<K>(&self, object: Value) -> Result<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
            + Serialize
            + DeserializeOwned
            + Clone
            + std::fmt::Debug,
    {
        let object: K = serde_json::from_value(object)?;
        Ok(self.api().create(&PostParams::default(), &object).await?)
    }

    /// What a pod of the measured image runs.
    pub(crate) fn pod_spec(&self, arguments: &[&str]) -> Value {
        json!({
            "terminationGracePeriodSeconds": 2,
            "containers": [{ "name": "main", "image": self.image, "args": arguments }],
        })
    }

    pub(crate) async fn create_pod(
        &self,
        name: &str,
        arguments: &[&str],
        change: impl FnOnce(&mut Value),
    ) -> Result<Pod> {
        let mut pod = json!({ "metadata": { "name": name }, "spec": self.pod_spec(arguments) });
        change(&mut pod);
        self.create(pod).await
    }

    /// A service and an ingress that lead from `host` to what has the label `app`.
    pub(crate) async fn open(&self, app: &str, host: &str) -> Result<()> {
        let service = json!({
            "metadata": { "name": app },
            "spec": { "selector": { "app": app }, "ports": [{ "port": 80, "targetPort": PORT }] },
        });
        self.create::<k8s_openapi::api::core::v1::Service>(service)
            .await?;
        let backend = json!({ "service": { "name": app, "port": { "number": 80 } } });
        let paths = json!([{ "path": "/", "pathType": "Prefix", "backend": backend }]);
        let ingress = json!({
            "metadata": { "name": app },
            "spec": { "rules": [{ "host": host, "http": { "paths": paths } }] },
        });
        self.create::<k8s_openapi::api::networking::v1::Ingress>(ingress)
            .await?;
        Ok(())
    }

    pub(crate) async fn until_ready(&self, name: &str) -> Result<Pod> {
        let api: Api<Pod> = self.api();
        wait::for_some("a pod to be ready", LIMIT, || async {
            let pod = api.get(name).await.ok()?;
            let conditions = pod.status.as_ref()?.conditions.as_ref()?;
            let ready = conditions.iter().find(|one| one.type_ == "Ready")?;
            (ready.status == "True").then_some(pod)
        })
        .await
    }

    pub(crate) async fn remove_pods(&self) -> Result<()> {
        let api: Api<Pod> = self.api();
        let all = ListParams::default();
        api.delete_collection(&DeleteParams::default(), &all)
            .await?;
        wait::until("all pods to go", LIMIT, || async {
            api.list(&all).await.is_ok_and(|pods| pods.items.is_empty())
        })
        .await
    }

    /// The process of the node agent, which also is the ingress.
    pub(crate) fn node(&mut self) -> Result<u32> {
        let agent = self.cluster.nodes().first().context("there is a node")?;
        Ok(agent.id())
    }

    /// Process ids of a pod: its shim and its container.
    pub(crate) fn processes(&self, pod: &Pod) -> Result<(u32, u32)> {
        let uid = pod.metadata.uid.as_deref().context("a pod has a uid")?;
        let path = self
            .node_root()
            .join("pods")
            .join(uid)
            .join("containers/main/0/state.json");
        let state: Value = serde_json::from_slice(&std::fs::read(path)?)?;
        let pid = |who: &str| -> Result<u32> {
            let pid = state[who]["pid"].as_u64().context("a state has ids")?;
            Ok(u32::try_from(pid)?)
        };
        Ok((pid("shim")?, pid("container")?))
    }

    fn node_root(&self) -> PathBuf {
        let data = self.folder.join("cluster").join("nodes").join(NODE);
        data.join("node").join(NODE)
    }

    /// Ends everything that was started.
    pub(crate) async fn finish(mut self) -> Result<()> {
        self.remove_pods().await?;
        for agent in self.cluster.nodes() {
            agent.stop(LIMIT).await?;
        }
        foreshore_engine_node::remove_everything(&self.node_root()).await?;
        Ok(())
    }
}

/// Packs this program, which is also what the measured pods run.
fn pack_this(images: &Store) -> Result<String> {
    let program = std::env::current_exe().context("a program knows where it is")?;
    let entry = |source: PathBuf, target: &str| Entry {
        source,
        target: target.to_owned(),
    };
    let mut entries = vec![entry(program.clone(), "/bin/pods")];
    for library in numbers::libraries(&program)? {
        let source = PathBuf::from(&library)
            .canonicalize()
            .with_context(|| format!("cannot find `{library}`"))?;
        entries.push(entry(source, &library));
    }
    let options = PackOptions {
        entries,
        entrypoint: vec!["/bin/pods".to_owned()],
        ..PackOptions::default()
    };
    let packed = pack(images, &options)?;
    Ok(format!("registry.invalid/pods@{}", packed.image.digest))
}

/// An address of the host's loopback that nobody has at the moment.
fn free_address() -> Result<SocketAddr> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?)
}
