//! Measures how an engine deals with many pods on virtual nodes, as a watch
//! over TLS sees it: `scale pods DEPLOYMENTS REPLICAS NODES` or
//! `scale rollout DEPLOYMENTS REPLICAS NODES`. Prints seconds and MiB.

#![expect(clippy::print_stdout, reason = "the figures are its answer")]

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::time::{Duration, Instant};

use foreshore_engine::{Durability, Engine, Options, Storage, listen};
use futures::StreamExt;
use futures::stream;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use kube::api::{Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Config};
use serde_json::json;
use tokio_util::sync::CancellationToken;

type Failure = Box<dyn Error + Send + Sync>;

const NAMESPACE: &str = "scale";
/// Requests under way at once.
const AT_ONCE: usize = 16;
/// Nothing measured here may take longer.
const LIMIT: Duration = Duration::from_mins(10);

struct Size {
    deployments: usize,
    replicas: usize,
    nodes: u8,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, deployments, replicas, nodes] = arguments.as_slice() else {
        return Err("usage: scale pods|rollout DEPLOYMENTS REPLICAS NODES".into());
    };
    let size = Size {
        deployments: deployments.parse()?,
        replicas: replicas.parse()?,
        nodes: nodes.parse()?,
    };
    let data = tempfile::tempdir()?;
    let kubeconfig = data.path().join("kubeconfig");
    let options = Options {
        storage: Storage::Disk(Durability::Strict),
        simulated_nodes: size.nodes,
        kubeconfig: Some(kubeconfig.clone()),
        ..Options::new(data.path().to_owned(), listen(data.path(), 0)?)
    };
    let shutdown = CancellationToken::new();
    let engine = Engine::start(options, shutdown.clone()).await?;
    let config = Config::from_custom_kubeconfig(
        Kubeconfig::read_from(&kubeconfig)?,
        &KubeConfigOptions::default(),
    )
    .await?;
    let client = Client::try_from(config)?;
    let measured = tokio::time::timeout(LIMIT, measure(&client, mode, &size)).await??;
    println!("{:.3} {:.1}", measured.as_secs_f64(), resident_mib()?);
    shutdown.cancel();
    engine.wait().await?;
    Ok(())
}

async fn measure(client: &Client, mode: &str, size: &Size) -> Result<Duration, Failure> {
    prepare(client).await?;
    let started = Instant::now();
    let created = apply_all(client, size, 1);
    let ready = until_ready(client, size, 1, false);
    tokio::try_join!(created, ready)?;
    match mode {
        "pods" => Ok(started.elapsed()),
        "rollout" => {
            let started = Instant::now();
            let updated = apply_all(client, size, 2);
            let ready = until_ready(client, size, 2, true);
            tokio::try_join!(updated, ready)?;
            Ok(started.elapsed())
        }
        other => Err(format!("`{other}` is neither `pods` nor `rollout`").into()),
    }
}

/// A namespace in which pods may be made.
async fn prepare(client: &Client) -> Result<(), Failure> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = serde_json::from_value(json!({"metadata": {"name": NAMESPACE}}))?;
    namespaces
        .create(&PostParams::default(), &namespace)
        .await?;
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), NAMESPACE);
    while accounts.get_opt("default").await?.is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

async fn apply_all(client: &Client, size: &Size, version: usize) -> Result<(), Failure> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), NAMESPACE);
    let results: Vec<_> = stream::iter(0..size.deployments)
        .map(|number| {
            let (api, name) = (api.clone(), format!("web-{number}"));
            async move {
                let object = deployment(&name, size.replicas, version);
                let parameters = PatchParams::apply("scale").force();
                api.patch(&name, &parameters, &Patch::Apply(&object)).await
            }
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    for result in results {
        result?;
    }
    Ok(())
}

fn deployment(name: &str, replicas: usize, version: usize) -> serde_json::Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}},
            "template": {
                "metadata": {"labels": {"app": name, "version": version.to_string()}},
                "spec": {"containers": [{"name": "main", "image": "web:1"}]},
            },
        },
    })
}

/// What the watch has told of one pod.
struct Seen {
    app: String,
    version: String,
    is_ready: bool,
}

/// Watches until all pods of a version are ready and no other is left. With
/// `checks_minimum`, no event may leave a Deployment with fewer ready pods
/// than it promised.
async fn until_ready(
    client: &Client,
    size: &Size,
    version: usize,
    checks_minimum: bool,
) -> Result<(), Failure> {
    let api: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let mut events = watcher(api, watcher::Config::default())
        .default_backoff()
        .boxed();
    let mut pods: HashMap<String, Seen> = HashMap::new();
    let mut ready: BTreeMap<String, usize> = BTreeMap::new();
    let mut is_complete = false;
    let (wanted, version) = (size.deployments * size.replicas, version.to_string());
    while let Some(event) = events.next().await {
        match event? {
            watcher::Event::Init => continue,
            watcher::Event::InitDone => is_complete = true,
            watcher::Event::InitApply(pod) | watcher::Event::Apply(pod) => {
                note(&mut pods, &mut ready, &pod);
            }
            watcher::Event::Delete(pod) => forget(&mut pods, &mut ready, &pod),
        }
        if !is_complete {
            continue;
        }
        if checks_minimum {
            let low = ready.iter().find(|(_, count)| **count + 1 < size.replicas);
            if let Some((app, count)) = low {
                return Err(format!("{app} fell to {count} ready pods").into());
            }
        }
        let is_done = pods.len() == wanted
            && pods
                .values()
                .all(|pod| pod.is_ready && pod.version == version);
        if is_done {
            return Ok(());
        }
    }
    Err("the watch ended".into())
}

fn note(pods: &mut HashMap<String, Seen>, ready: &mut BTreeMap<String, usize>, pod: &Pod) {
    forget(pods, ready, pod);
    let label = |key: &str| {
        let labels = pod.metadata.labels.as_ref();
        labels.and_then(|labels| labels.get(key)).cloned()
    };
    let conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    let is_ready = pod.metadata.deletion_timestamp.is_none()
        && conditions
            .into_iter()
            .any(|one| one.type_ == "Ready" && one.status == "True");
    let seen = Seen {
        app: label("app").unwrap_or_default(),
        version: label("version").unwrap_or_default(),
        is_ready,
    };
    if is_ready {
        *ready.entry(seen.app.clone()).or_default() += 1;
    }
    pods.insert(pod.metadata.uid.clone().unwrap_or_default(), seen);
}

fn forget(pods: &mut HashMap<String, Seen>, ready: &mut BTreeMap<String, usize>, pod: &Pod) {
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    if let Some(before) = pods.remove(uid)
        && before.is_ready
        && let Some(count) = ready.get_mut(&before.app)
    {
        *count -= 1;
    }
}

/// The most memory this process has held at once.
fn resident_mib() -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .ok_or("the kernel does not tell the memory")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kib / 1024.0)
}
