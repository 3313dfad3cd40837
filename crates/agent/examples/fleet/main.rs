//! Measures how an agent carries out many services: `fleet ROUNDS [rebuild]`.
//!
//! The config repository is a bare one of plain git, commits come from
//! `git fast-import`, and the agent is woken as a server would do it. The
//! clusters are an embedded engine and a real API server with etcd, both
//! syncing every write. Prints a line of JSON for each figure.

#![expect(clippy::print_stdout, reason = "the figures are its answer")]

mod rebuild;

use std::{
    collections::BTreeSet,
    error::Error,
    fmt::Write as _,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use foreshore_agent::{Agent, Credential, Handle, MirrorSource, Options, Source as _};
use foreshore_cluster::Client;
use foreshore_model::{
    Actor, ArtifactId, Digest, Environment, EnvironmentName, Intent, Outcome, Phase, ReleaseFile,
    SiteName,
    config::{Approvals, Drift, SiteOrder},
};
use foreshore_testkit::cluster::{Cluster, Components, Kind, Options as ClusterOptions};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams},
    discovery::ApiResource,
};
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

type Failure = Box<dyn Error + Send + Sync>;

const NAMESPACE: &str = "fleet";
/// Nothing here may take longer.
const LIMIT: Duration = Duration::from_mins(5);
const LARGE: usize = 10_000;
/// Requests under way at once, as many as the agent has writers.
const AT_ONCE: usize = 32;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let rounds: usize = std::env::args().nth(1).unwrap_or_default().parse()?;
    foreshore_cluster::install_tls_provider();
    if std::env::args().nth(2).as_deref() == Some("rebuild") {
        return rebuild::rebuild(rounds).await;
    }
    changed_set(rounds).await?;
    for kind in [Kind::Engine, Kind::Real] {
        changes(kind, rounds).await?;
    }
    from_empty(rounds).await?;
    rebuild::rebuild(rounds).await
}

fn tell(name: &str, unit: &str, rounds: &[f64]) {
    println!("{}", json!({"name": name, "unit": unit, "rounds": rounds}));
}

/// 80 services of 6 objects, all changed in one commit.
async fn changes(kind: Kind, rounds: usize) -> Result<(), Failure> {
    let ground = Ground::start(kind).await?;
    let fleet = Fleet {
        services: 80,
        objects: 6,
        layer: None,
    };
    let mut run = Run::start(&ground, fleet)?;
    run.applied(1).await?;
    let (mut middle, mut tail) = (vec![], vec![]);
    for round in 0..rounds {
        let mut waits = run.applied(round as u64 + 2).await?;
        waits.sort_by(f64::total_cmp);
        middle.push(waits[waits.len() / 2]);
        tail.push(waits[waits.len() * 99 / 100]);
    }
    let ground = spelled(kind);
    tell(
        &format!("commit to applied, 80 services x 6 objects, {ground}, p50"),
        "seconds",
        &middle,
    );
    tell(
        &format!("commit to applied, 80 services x 6 objects, {ground}, p99"),
        "seconds",
        &tail,
    );
    Ok(())
}

fn spelled(kind: Kind) -> &'static str {
    match kind {
        Kind::Engine => "engine",
        Kind::Real => "real API server",
    }
}

/// 1,000 services of 4 objects on an empty cluster, beside a loop of the same writes.
async fn from_empty(rounds: usize) -> Result<(), Failure> {
    let fleet = Fleet {
        services: 1_000,
        objects: 4,
        layer: None,
    };
    let (mut agent, mut bare, mut memory) = (vec![], vec![], vec![]);
    for _ in 0..rounds.min(3) {
        let ground = Ground::start(Kind::Real).await?;
        let started = Instant::now();
        patches(&ground.client, fleet).await?;
        bare.push(started.elapsed().as_secs_f64());
        drop(ground);
        let ground = Ground::start(Kind::Real).await?;
        let before = resident_mib()?;
        let mut run = Run::start(&ground, fleet)?;
        let waits = run.applied(1).await?;
        agent.push(waits.into_iter().fold(0.0, f64::max));
        memory.push(resident_mib()? - before);
    }
    tell(
        "1,000 services x 4 objects from empty to applied, real API server",
        "seconds",
        &agent,
    );
    tell(
        "the same objects in a bare loop of patches",
        "seconds",
        &bare,
    );
    tell("memory an agent adds at 1,000 x 4", "MiB", &memory);
    Ok(())
}

/// One service changed among 10,000.
async fn changed_set(rounds: usize) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let repository = Repository::new(
        folder.path(),
        Fleet {
            services: LARGE,
            objects: 4,
            layer: None,
        },
    )?;
    repository.commit(1, LARGE)?;
    let mirror = folder.path().join("mirror");
    let source = MirrorSource::open(&mirror, &repository.url(), Credential::None)?;
    let name = environment();
    let mut known = source.environment(&source.fetch().await?, &name).await?;
    let (mut whole, mut local) = (vec![], vec![]);
    for round in 0..rounds {
        repository.commit(round as u64 + 2, 1)?;
        let started = Instant::now();
        let commit = source.fetch().await?;
        let fetched = Instant::now();
        let now = source.environment(&commit, &name).await?;
        let changed = now
            .services
            .iter()
            .filter(|(service, tree)| known.services.get(*service) != Some(*tree));
        if changed.count() != 1 {
            return Err("not one service has changed".into());
        }
        whole.push(started.elapsed().as_secs_f64() * 1000.0);
        local.push(fetched.elapsed().as_secs_f64() * 1000.0);
        known = now;
    }
    tell("changed set of one service among 10,000", "ms", &local);
    tell("the same with the fetch before it", "ms", &whole);
    Ok(())
}

fn environment() -> EnvironmentName {
    "dev".parse().expect("it is a name")
}

/// A cluster with its client.
struct Ground {
    client: Client,
    _cluster: Cluster,
}

impl Ground {
    async fn start(kind: Kind) -> Result<Self, Failure> {
        let options = ClusterOptions {
            components: Components::ApiOnly,
            fsync: true,
            ..ClusterOptions::default()
        };
        Self::of(Cluster::start(kind, options).await?).await
    }

    async fn of(cluster: Cluster) -> Result<Self, Failure> {
        let client = cluster.client().await?;
        let namespaces =
            Api::<DynamicObject>::all_with(client.clone(), &resource("v1", "Namespace"));
        let object = serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE},
        }))?;
        namespaces
            .create(&kube::api::PostParams::default(), &object)
            .await?;
        Ok(Self {
            client,
            _cluster: cluster,
        })
    }
}

fn resource(api_version: &str, kind: &str) -> ApiResource {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk(group, version, kind))
}

/// How many services of how many objects.
#[derive(Clone, Copy)]
struct Fleet {
    services: usize,
    objects: usize,
    /// Services in a layer, each of which depends on one of the layer before and runs a pod.
    layer: Option<usize>,
}

impl Fleet {
    /// Objects of a service: a Deployment without replicas, a Service, settings.
    fn objects(self, number: usize, sequence: u64) -> Vec<Value> {
        let service = &format!("service-{number}");
        let labels = json!({"app": service});
        let on = self.layer.and_then(|layer| number.checked_sub(layer));
        let on = on
            .map(|number| format!("service-{number}"))
            .unwrap_or_default();
        let mut objects = vec![
            json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": service, "annotations": {"foreshore.local/depends-on": on}},
                "spec": {
                    "replicas": usize::from(self.layer.is_some()),
                    "selector": {"matchLabels": labels},
                    "template": {
                        "metadata": {"labels": labels},
                        "spec": {"containers": [{"name": "main", "image": format!("web:{sequence}")}]},
                    },
                },
            }),
            json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": service},
                "spec": {"selector": labels, "ports": [{"port": 80}]},
            }),
        ];
        objects.extend((2..self.objects).map(|number| {
            json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": format!("{service}-{number}")},
                "data": {"sequence": sequence.to_string()},
            })
        }));
        objects
    }
}

/// A bare repository that grows by `git fast-import`.
struct Repository {
    folder: PathBuf,
    fleet: Fleet,
}

impl Repository {
    fn new(folder: &Path, fleet: Fleet) -> Result<Self, Failure> {
        let folder = folder.join("config.git");
        let made = Command::new("git")
            .args(["init", "--quiet", "--bare", "--initial-branch=main"])
            .arg(&folder)
            .status()?;
        if !made.success() {
            return Err("git cannot make a repository".into());
        }
        Ok(Self { folder, fleet })
    }

    fn url(&self) -> String {
        self.folder.display().to_string()
    }

    /// Commits this release of the first services.
    fn commit(&self, sequence: u64, services: usize) -> Result<(), Failure> {
        let mut text = format!(
            "commit refs/heads/main\ncommitter b <b@example.org> {} +0000\ndata 1\nc\n",
            1_790_000_000 + sequence
        );
        if sequence == 1 {
            file(&mut text, "environments/dev/environment.yaml", &own_file()?)?;
        } else {
            writeln!(text, "from refs/heads/main^0")?;
        }
        for number in 0..services {
            let service = format!("service-{number}");
            let folder = format!("environments/dev/{service}");
            let release = serde_json::to_string(&release(&service, sequence)?)?;
            file(&mut text, &format!("{folder}/release.yaml"), &release)?;
            for (place, object) in self.fleet.objects(number, sequence).iter().enumerate() {
                let path = format!("{folder}/manifests/{place}.yaml");
                file(&mut text, &path, &object.to_string())?;
            }
        }
        let mut import = Command::new("git")
            .args(["fast-import", "--quiet"])
            .current_dir(&self.folder)
            .stdin(Stdio::piped())
            .spawn()?;
        let mut input = import.stdin.take().ok_or("its input was asked for")?;
        input.write_all(text.as_bytes())?;
        drop(input);
        if import.wait()?.success() {
            Ok(())
        } else {
            Err("git cannot import the commit".into())
        }
    }
}

fn file(text: &mut String, path: &str, content: &str) -> Result<(), Failure> {
    writeln!(
        text,
        "M 100644 inline {path}\ndata {}\n{content}",
        content.len()
    )?;
    Ok(())
}

fn own_file() -> Result<String, Failure> {
    Ok(serde_json::to_string(&Environment {
        name: environment(),
        namespace: NAMESPACE.to_owned(),
        promotes_from: None,
        sites: vec![SiteName::new("local")?],
        approvals: Approvals::default(),
        production: false,
        site_order: SiteOrder::default(),
        drift: Drift::default(),
        service_account: None,
        recipients: Vec::new(),
    })?)
}

fn release(service: &str, sequence: u64) -> Result<ReleaseFile, Failure> {
    let artifact = Digest::of(format!("{service} {sequence}").as_bytes());
    Ok(ReleaseFile {
        service: service.parse()?,
        environment: environment(),
        sequence,
        artifact_id: ArtifactId::from_parts("main", artifact.hex(), "plan"),
        artifact,
        intent: Intent::Release,
        actor: Actor::new("ada", "ada@example.org"),
        reason: String::new(),
        at: foreshore_model::clock::now(),
        previous: None,
        approved_by: Vec::new(),
        verdicts: Vec::new(),
    })
}

/// An agent at work on a repository.
struct Run {
    repository: Repository,
    handle: Handle,
    shutdown: CancellationToken,
    _folder: tempfile::TempDir,
}

impl Run {
    fn start(ground: &Ground, fleet: Fleet) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let repository = Repository::new(folder.path(), fleet)?;
        let mirror = folder.path().join("mirror");
        let source = MirrorSource::open(&mirror, &repository.url(), Credential::None)?;
        let options = Options::new(
            ground.client.clone(),
            Arc::new(source),
            vec![environment()],
            SiteName::new("local")?,
        );
        let (agent, handle) = Agent::new(options)?;
        let shutdown = CancellationToken::new();
        tokio::spawn(agent.run(shutdown.clone()));
        Ok(Self {
            repository,
            handle,
            shutdown,
            _folder: folder,
        })
    }

    /// Commits a release of every service; seconds until each is written.
    async fn applied(&mut self, sequence: u64) -> Result<Vec<f64>, Failure> {
        self.until(sequence, is_written).await
    }

    /// Commits a release of every service; seconds until each is as it is meant to be.
    async fn until(
        &mut self,
        sequence: u64,
        is_meant: fn(&Outcome, u64) -> Result<bool, Failure>,
    ) -> Result<Vec<f64>, Failure> {
        let services = self.repository.fleet.services;
        let mut outcomes = self.handle.outcomes();
        self.repository.commit(sequence, services)?;
        let started = Instant::now();
        self.handle.wake();
        let mut waits = Vec::with_capacity(services);
        let mut seen = BTreeSet::new();
        let collected = tokio::time::timeout(LIMIT, async {
            while waits.len() < services {
                let outcome = match outcomes.recv().await {
                    Ok(outcome) => outcome,
                    Err(RecvError::Lagged(_)) => continue,
                    Err(RecvError::Closed) => return Err(Failure::from("the agent has ended")),
                };
                if is_meant(&outcome, sequence)? && seen.insert(outcome.service.clone()) {
                    waits.push(started.elapsed().as_secs_f64());
                }
            }
            Ok(())
        });
        collected.await??;
        Ok(waits)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

fn is_written(outcome: &Outcome, sequence: u64) -> Result<bool, Failure> {
    if outcome.phase == Phase::Failed {
        return Err(format!("{} failed: {:?}", outcome.service, outcome.causes).into());
    }
    let is_there = matches!(outcome.phase, Phase::Progressing | Phase::Healthy);
    Ok(is_there && outcome.sequence == sequence)
}

/// The same objects written by nothing but patches.
async fn patches(client: &Client, fleet: Fleet) -> Result<(), Failure> {
    let objects = (0..fleet.services).flat_map(|number| fleet.objects(number, 1));
    stream::iter(objects)
        .map(|object| async move {
            let text = |pointer: &str| {
                object
                    .pointer(pointer)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
            };
            let resource = resource(text("/apiVersion"), text("/kind"));
            let api = Api::<DynamicObject>::namespaced_with(client.clone(), NAMESPACE, &resource);
            let parameters = PatchParams::apply("loop").force();
            api.patch(text("/metadata/name"), &parameters, &Patch::Apply(&object))
                .await?;
            Ok::<(), Failure>(())
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<()>>()
        .await
        .map(drop)
}

fn resident_mib() -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .ok_or("the kernel does not tell the memory")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kib / 1024.0)
}
