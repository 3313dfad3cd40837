//! Random kills while people call: nothing is lost, and nothing is left.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use foreshore_engine_node::RuntimeKind;
use foreshore_testkit::cluster::{Cluster, Kind};
use foreshore_testkit::seed::Seed;
use foreshore_testkit::{environment, wait};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use rand::RngExt as _;
use rustix::process::{Pid, Signal, kill_process};

use crate::callers::{Callers, Wish};
use crate::edge::Edge;
use crate::fixture::{Fixture, LIMIT, address, condition, container, control_groups, processes_in};
use crate::objects::{ingress, make, service};
use crate::roll::{check, deployment, until_rolled_out};

/// How long it kills unless `FORESHORE_SOAK_SECONDS` says otherwise.
const SECONDS: u64 = 12;

/// What may happen to a platform at any moment.
#[derive(Debug, Clone, Copy)]
enum Blow {
    Container,
    Shim,
    Pod,
    Node,
    Engine,
}

const BLOWS: [Blow; 5] = [
    Blow::Container,
    Blow::Shim,
    Blow::Pod,
    Blow::Node,
    Blow::Engine,
];

/// Everything a node keeps in the kernel and on disk for its pods.
#[derive(Debug, Default, PartialEq, Eq)]
struct Kept {
    processes: Vec<String>,
    namespaces: BTreeSet<PathBuf>,
    mounts: Vec<String>,
    groups: Vec<PathBuf>,
    pods: Vec<PathBuf>,
    links: usize,
}

impl std::fmt::Display for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} processes, {} namespaces, {} mounts, {} control groups, {} pods",
            self.processes.len(),
            self.namespaces.len(),
            self.mounts.len(),
            self.groups.len(),
            self.pods.len()
        )
    }
}

impl Kept {
    fn of(fixture: &Fixture) -> Self {
        let root = &fixture.options.root;
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        let folder = fixture.folder.path().to_str().unwrap();
        let ours = mounts.lines().filter(|line| line.contains(folder));
        let pods = std::fs::read_dir(root.join("pods")).unwrap();
        let links = || std::fs::read_to_string("/proc/thread-self/net/dev");
        let links = fixture.options.ground.run(links).unwrap();
        let processes = processes_of(fixture);
        Self {
            namespaces: processes.iter().flat_map(|pid| namespaces(pid)).collect(),
            processes: processes_in(root),
            mounts: ours.map(str::to_owned).collect(),
            groups: control_groups(root),
            pods: pods.map(|entry| entry.unwrap().path()).collect(),
            links: links.lines().count(),
        }
    }
}

/// Shims, containers and whatever descends from them, by their folder, or by
/// the variable that their environment has.
fn processes_of(fixture: &Fixture) -> Vec<PathBuf> {
    let marker = marker(fixture);
    let folder = fixture.options.root.to_str().unwrap().to_owned();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let is_ours = |path: &PathBuf| {
        let read = |name: &str| std::fs::read(path.join(name)).unwrap_or_default();
        let has = |bytes: Vec<u8>, words: &str| String::from_utf8_lossy(&bytes).contains(words);
        has(read("environ"), &marker) || has(read("cmdline"), &folder)
    };
    entries.map(|entry| entry.path()).filter(is_ours).collect()
}

fn marker(fixture: &Fixture) -> String {
    format!("SOAK={}", fixture.folder.path().display())
}

fn namespaces(process: &Path) -> Vec<PathBuf> {
    let kinds = ["mnt", "pid", "ipc", "uts", "net"];
    let link = |kind| std::fs::read_link(process.join("ns").join(kind)).ok();
    kinds.into_iter().filter_map(link).collect()
}

pub(crate) async fn random_kills_lose_no_request_and_leave_nothing_behind(ground: Kind) {
    let mut fixture = Fixture::alone(ground, RuntimeKind::Sandbox).await;
    let edge = Edge::beside(&fixture.cluster);
    let before = Kept::of(&fixture);
    let mut object = deployment(&fixture, "shop", 3);
    let variables = &mut object["spec"]["template"]["spec"]["containers"][0]["env"];
    variables[0]["name"] = "SOAK".into();
    variables[0]["value"] = fixture.folder.path().to_str().unwrap().into();
    make::<Deployment>(&fixture, object).await;
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

    let mut seed = Seed::new();
    let seconds = environment::value("FORESHORE_SOAK_SECONDS");
    let seconds = seconds.map_or(SECONDS, |text| text.parse().expect("a number of seconds"));
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut count = 0;
    while Instant::now() < end {
        let blow = BLOWS[seed.random().random_range(0..BLOWS.len())];
        let number = seed.random().random_range(0..1_000_000);
        environment::say(&format!("{blow:?}"));
        strike(&mut fixture, blow, number).await;
        // One at a time: a replicated service bears the loss of one.
        until_steady(&fixture).await;
        edge.until_heard(&fixture, &format!("heard-{count}")).await;
        count += 1;
    }
    let tally = callers.stop().await;
    environment::say(&format!(
        "{count} kills in {seconds} s: {} requests answered, {} lost, the slowest {:?}",
        tally.answered, tally.failed, tally.slowest
    ));
    check(&tally, 1);

    let api: Api<Deployment> = Api::namespaced(fixture.client.clone(), &fixture.name);
    let all = DeleteParams::background();
    api.delete("shop", &all).await.unwrap();
    wait::until("all pods to go", LIMIT, || async {
        pods(&fixture).await.is_empty()
    })
    .await
    .unwrap();
    // The last of a pod goes a moment after the API has let go of it.
    let gone = wait::until("nothing to be left", LIMIT, || async {
        Kept::of(&fixture) == before
    });
    let (gone, left) = (gone.await, Kept::of(&fixture));
    environment::say(&format!("left over: {left}"));
    assert!(gone.is_ok(), "{left:?} {before:?}");
    assert!(before.namespaces.is_empty() && before.processes.is_empty());
    drop(edge);
    fixture.finish().await;
}

async fn pods(fixture: &Fixture) -> Vec<Pod> {
    let all = ListParams::default();
    fixture.pods().list(&all).await.unwrap().items
}

/// Waits until three pods are ready and the service leads to these three. What
/// a deployment says of itself may be of a moment ago.
async fn until_steady(fixture: &Fixture) {
    let slices: Api<EndpointSlice> = Api::namespaced(fixture.client.clone(), &fixture.name);
    let ours = ListParams::default().labels("kubernetes.io/service-name=shop");
    wait::until("three pods behind the service", LIMIT, || async {
        let pods = pods(fixture).await;
        let stay = pods.iter().filter(|pod| {
            pod.metadata.deletion_timestamp.is_none() && condition(pod, "Ready") == Some("True")
        });
        let own: BTreeSet<String> = stay.map(|pod| address(pod).to_string()).collect();
        let slices = slices.list(&ours).await.unwrap().items;
        let endpoints = slices
            .into_iter()
            .flat_map(|slice| slice.endpoints.unwrap_or_default());
        let ready = endpoints.filter(|one| {
            let conditions = one.conditions.as_ref();
            conditions.and_then(|known| known.ready) == Some(true)
        });
        let known: BTreeSet<String> = ready.flat_map(|one| one.addresses).collect();
        own.len() == 3 && own == known
    })
    .await
    .unwrap();
}

async fn strike(fixture: &mut Fixture, blow: Blow, number: usize) {
    match blow {
        Blow::Node => {
            fixture.kill_node().await;
            fixture.start_node();
        }
        Blow::Engine => {
            if let Some(cluster) = Arc::get_mut(&mut fixture.cluster)
                && cluster.kind() == Kind::Engine
            {
                restart(cluster).await;
            }
        }
        Blow::Pod | Blow::Container | Blow::Shim => {
            let mut pods = pods(fixture).await;
            pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
            let pod = &pods[number % pods.len()];
            let name = pod.metadata.name.clone().unwrap();
            // A container that is killed again backs off, which is right, but
            // would have the test wait; a new pod begins anew.
            if matches!(blow, Blow::Pod) || container(pod).restart_count > 0 {
                fixture.delete(&name).await;
                return;
            }
            kill(fixture, pod, matches!(blow, Blow::Shim));
            fixture
                .until(&name, |pod| container(pod).restart_count > 0)
                .await;
        }
    }
}

/// Kills the engine as a power cut would, and starts it again on its data.
async fn restart(cluster: &mut Cluster) {
    let engine = cluster.program("foreshore").unwrap();
    engine.kill().unwrap();
    cluster.restart().await.unwrap();
}

/// Kills the pod's container, or the shim above it.
fn kill(fixture: &Fixture, pod: &Pod, is_shim: bool) {
    let uid = pod.metadata.uid.as_deref().unwrap();
    let folder = fixture.options.root.join("pods").join(uid);
    let state = std::fs::read(folder.join("containers/main/0/state.json")).unwrap();
    let state: serde_json::Value = serde_json::from_slice(&state).unwrap();
    let who = if is_shim { "shim" } else { "container" };
    let pid = state[who]["pid"].as_i64().unwrap();
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
}
