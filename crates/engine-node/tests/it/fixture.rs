//! A control plane, a node on it, and pods bound to the node directly.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use foreshore_engine_node::{Node, Options, RuntimeKind};
use foreshore_image::{Entry, Image, PackOptions, Store, pack};
use foreshore_testkit::cluster::{self, Cluster, Kind};
use foreshore_testkit::{TempDir, wait};
use k8s_openapi::api::core::v1::{ContainerStatus, Event, Namespace, Pod};
use kube::api::{DeleteParams, ListParams, LogParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const LIMIT: Duration = Duration::from_mins(1);

/// One cluster of each kind for tests that run at the same time.
static REAL: tokio::sync::Mutex<Weak<Cluster>> = tokio::sync::Mutex::const_new(Weak::new());
static ENGINE: tokio::sync::Mutex<Weak<Cluster>> = tokio::sync::Mutex::const_new(Weak::new());
static NEXT: AtomicU8 = AtomicU8::new(1);

async fn shared(kind: Kind) -> Arc<Cluster> {
    let known = match kind {
        Kind::Real => &REAL,
        Kind::Engine => &ENGINE,
    };
    let mut known = known.lock().await;
    if let Some(cluster) = known.upgrade() {
        return cluster;
    }
    let fresh = Cluster::start(kind, cluster::Options::default())
        .await
        .unwrap();
    let fresh = Arc::new(fresh);
    *known = Arc::downgrade(&fresh);
    fresh
}

/// Fields are dropped in this order: the cluster last.
pub(crate) struct Fixture {
    pub client: Client,
    pub name: String,
    pub folder: TempDir,
    pub options: Options,
    pub image: String,
    running: Option<(CancellationToken, JoinHandle<()>)>,
    pub cluster: Arc<Cluster>,
}

impl Fixture {
    pub(crate) async fn new(ground: Kind, runtime: RuntimeKind) -> Self {
        Self::with(ground, runtime, |_| {}).await
    }

    pub(crate) async fn with(
        kind: Kind,
        runtime: RuntimeKind,
        adjust: impl FnOnce(&mut Options),
    ) -> Self {
        Self::on(shared(kind).await, runtime, adjust).await
    }

    /// On a cluster that no other test uses, so that it may be hurt.
    pub(crate) async fn alone(kind: Kind, runtime: RuntimeKind) -> Self {
        let cluster = Cluster::start(kind, cluster::Options::default()).await;
        Self::on(Arc::new(cluster.unwrap()), runtime, |_| {}).await
    }

    /// On a machine that gives no namespaces, as far as the platform is told.
    pub(crate) async fn without_namespaces() -> Self {
        let options = cluster::Options {
            loopback: true,
            ..cluster::Options::default()
        };
        let cluster = Cluster::engine(options).await.unwrap();
        Self::on(Arc::new(cluster), RuntimeKind::Process, |_| {}).await
    }

    async fn on(
        cluster: Arc<Cluster>,
        runtime: RuntimeKind,
        adjust: impl FnOnce(&mut Options),
    ) -> Self {
        if std::env::var_os("FORESHORE_TEST_LOG").is_some() {
            drop(
                tracing_subscriber::fmt()
                    .with_env_filter("info,foreshore_engine_node=debug")
                    .try_init(),
            );
        }
        let client = cluster.client().await.unwrap();
        let ground = cluster.ground().expect("the cluster is ours").clone();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("node-{number}");
        let folder = TempDir::new("node").unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).unwrap();
        let images = Store::open(&folder.join("images")).unwrap();
        let packed = PackOptions {
            environment: BTreeMap::from([("FROM_IMAGE".to_owned(), "yes".to_owned())]),
            ..PackOptions::default()
        };
        let packed = pack_program(&images, packed);
        let image = format!("registry.invalid/program@{}", packed.digest);
        let shim = PathBuf::from(env!("CARGO_BIN_EXE_foreshore-test-shim"));
        let mut options = Options::new(
            client.clone(),
            &name,
            runtime,
            ground,
            folder.join("node"),
            shim,
            images,
        );
        options.node_index = number;
        adjust(&mut options);
        let namespace: Namespace =
            serde_json::from_value(json!({ "metadata": { "name": name } })).unwrap();
        Api::<Namespace>::all(client.clone())
            .create(&PostParams::default(), &namespace)
            .await
            .unwrap();
        let mut fixture = Self {
            client,
            name,
            folder,
            options,
            image,
            running: None,
            cluster,
        };
        fixture.start_node();
        fixture.default_account().await;
        fixture
    }

    /// Options of a further node of the same test.
    pub(crate) fn further_node(&self, suffix: &str) -> Options {
        let mut options = self.options.clone();
        options.node_index = NEXT.fetch_add(1, Ordering::Relaxed);
        options.node_name = format!("{}-{suffix}", self.name);
        options.root = self.folder.join(suffix);
        options
    }

    pub(crate) fn start_node(&mut self) {
        let node = Node::new(self.options.clone()).unwrap();
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(node.run(shutdown.clone()));
        self.running = Some((shutdown, task));
    }

    /// Stops the node as a kill would: at once, without a word to anyone.
    pub(crate) async fn kill_node(&mut self) {
        let (_shutdown, task) = self.running.take().unwrap();
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        // What it had open closes a moment later; of a process it would be at once.
        let place = Ipv4Addr::new(10, 244, self.options.node_index, 1);
        let ground = &self.options.ground;
        wait::until("the node's port to be free", LIMIT, || async {
            ground.tcp_listener((place, 10250).into()).is_ok()
        })
        .await
        .unwrap();
    }

    /// Ends the node in order; what it runs goes on.
    pub(crate) async fn stop_node(&mut self) {
        let (shutdown, task) = self.running.take().unwrap();
        shutdown.cancel();
        task.await.unwrap();
    }

    /// What `kubectl` does and says in the fixture's namespace: whether it
    /// succeeded, its output, its complaints.
    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let namespace = ["-n", self.name.as_str()];
        let all = [&namespace, arguments].concat();
        let output = tokio::time::timeout(LIMIT, self.cluster.kubectl(&all)).await;
        let output = output.expect("kubectl ends").unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    }

    /// Ends the node and everything it runs.
    pub(crate) async fn finish(mut self) {
        if self.running.is_some() {
            self.stop_node().await;
        }
        foreshore_engine_node::remove_everything(&self.options.root)
            .await
            .unwrap();
        // A shim whose container had ended already goes by itself, a moment later.
        let folder = self.folder.path();
        let gone = wait::until("everything to end", LIMIT, || async {
            processes_in(folder).is_empty()
        });
        assert!(gone.await.is_ok(), "{:?}", processes_in(folder));
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        let folder = self.folder.path().to_str().unwrap();
        assert!(!mounts.contains(folder), "{mounts}");
        assert_eq!(control_groups(&self.options.root), Vec::<PathBuf>::new());
    }

    async fn default_account(&self) {
        let api: Api<k8s_openapi::api::core::v1::ServiceAccount> =
            Api::namespaced(self.client.clone(), &self.name);
        wait::until("the default service account", LIMIT, || async {
            api.get_opt("default").await.unwrap().is_some()
        })
        .await
        .unwrap();
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// Creates a pod whose one container runs the test program.
    pub(crate) async fn pod(
        &self,
        name: &str,
        arguments: &[&str],
        change: impl FnOnce(&mut Value),
    ) -> Pod {
        let mut pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": { "name": name },
            "spec": {
                "nodeName": self.options.node_name,
                "terminationGracePeriodSeconds": 5,
                "containers": [{
                    "name": "main",
                    "image": self.image,
                    "args": arguments,
                }],
            },
        });
        change(&mut pod);
        let pod: Pod = serde_json::from_value(pod).unwrap();
        self.pods()
            .create(&PostParams::default(), &pod)
            .await
            .unwrap()
    }

    /// Waits until the pod is as wished, and answers with it.
    pub(crate) async fn until(&self, name: &str, wish: impl Fn(&Pod) -> bool) -> Pod {
        let api = self.pods();
        let mut last = None;
        let found = wait::for_some("the pod to be as wished", LIMIT, || async {
            let pod = api.get_opt(name).await.unwrap()?;
            wish(&pod).then_some(pod)
        })
        .await;
        if found.is_err() {
            last = api.get_opt(name).await.unwrap();
        }
        found.unwrap_or_else(|error| {
            panic!("{error}: {}", serde_json::to_string_pretty(&last).unwrap())
        })
    }

    pub(crate) async fn until_ready(&self, name: &str) -> Pod {
        self.until(name, |pod| condition(pod, "Ready") == Some("True"))
            .await
    }

    pub(crate) async fn until_gone(&self, name: &str) {
        let api = self.pods();
        wait::until("the pod to go", LIMIT, || async {
            api.get_opt(name).await.unwrap().is_none()
        })
        .await
        .unwrap();
    }

    pub(crate) async fn delete(&self, name: &str) {
        self.pods()
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
    }

    pub(crate) async fn log(&self, name: &str) -> String {
        self.pods().logs(name, &LogParams::default()).await.unwrap()
    }

    /// Waits until the pod's log has these words.
    pub(crate) async fn until_log(&self, name: &str, words: &str) -> String {
        let api = self.pods();
        wait::for_some(&format!("`{words}` in the log"), LIMIT, || async {
            // Until the container has been made there is no log.
            let log = api.logs(name, &LogParams::default()).await.ok()?;
            log.contains(words).then_some(log)
        })
        .await
        .unwrap()
    }

    /// Reasons of the pod's events with their messages.
    pub(crate) async fn events(&self, name: &str) -> BTreeMap<String, String> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), &self.name);
        let list = ListParams::default().fields(&format!("involvedObject.name={name}"));
        let events = api.list(&list).await.unwrap();
        let entry = |event: Event| {
            (
                event.reason.unwrap_or_default(),
                event.message.unwrap_or_default(),
            )
        };
        events.items.into_iter().map(entry).collect()
    }

    pub(crate) async fn until_event(&self, name: &str, reason: &str) -> String {
        wait::for_some(&format!("event {reason}"), LIMIT, || async {
            self.events(name).await.remove(reason)
        })
        .await
        .unwrap()
    }
}

/// Packs the test program with the libraries it was linked to.
pub(crate) fn pack_program(images: &Store, mut options: PackOptions) -> Image {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_foreshore-test-program"));
    options.entrypoint = vec!["/bin/program".to_owned()];
    options.entries = vec![Entry {
        source: program.clone(),
        target: "/bin/program".to_owned(),
    }];
    let listed = Command::new("ldd").arg(&program).output().unwrap();
    for word in String::from_utf8(listed.stdout).unwrap().split_whitespace() {
        if word.starts_with('/') && Path::new(word).exists() {
            let source = Path::new(word).canonicalize().unwrap();
            options.entries.push(Entry {
                source,
                target: word.to_owned(),
            });
        }
    }
    pack(images, &options).unwrap().image
}

pub(crate) fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a str> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions
        .iter()
        .find(|one| one.type_ == kind)
        .map(|one| one.status.as_str())
}

pub(crate) fn phase(pod: &Pod) -> &str {
    pod.status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
        .unwrap_or_default()
}

pub(crate) fn container(pod: &Pod) -> ContainerStatus {
    let statuses = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_ref());
    statuses
        .and_then(|all| all.first())
        .cloned()
        .unwrap_or_default()
}

pub(crate) fn waiting(pod: &Pod) -> (String, String) {
    let waiting = container(pod)
        .state
        .and_then(|state| state.waiting)
        .unwrap_or_default();
    (
        waiting.reason.unwrap_or_default(),
        waiting.message.unwrap_or_default(),
    )
}

pub(crate) fn address(pod: &Pod) -> std::net::Ipv4Addr {
    pod.status
        .as_ref()
        .unwrap()
        .pod_ip
        .as_deref()
        .unwrap()
        .parse()
        .unwrap()
}

/// Control groups of the node that keeps its state in `root`.
pub(crate) fn control_groups(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let name = foreshore_engine_node::control_group(root);
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    for mount in mounts.lines().filter(|line| line.starts_with("cgroup")) {
        let path = Path::new(mount.split(' ').nth(1).unwrap()).join(&name);
        let mut folders = vec![path];
        while let Some(folder) = folders.pop() {
            if let Ok(entries) = std::fs::read_dir(&folder) {
                folders.extend(
                    entries
                        .flatten()
                        .filter(|entry| entry.file_type().unwrap().is_dir())
                        .map(|entry| entry.path()),
                );
                found.push(folder);
            }
        }
    }
    found
}

/// Command lines of processes that have to do with `folder`.
pub(crate) fn processes_in(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let root = std::fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        if line.contains(folder) || root.starts_with(folder) {
            found.push(line);
        }
    }
    found
}
