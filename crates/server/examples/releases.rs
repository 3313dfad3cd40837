//! Measures what a release costs the server until it is durable: `releases ROUNDS`.
//!
//! Fifty releases of fifty services at once, one after the other, and beside
//! them fifty people who clone, commit and push the same repository with plain
//! git until they get through. Prints a line of JSON for each figure.

#![expect(clippy::print_stdout, reason = "the figures are its answer")]

use std::{
    collections::BTreeMap,
    error::Error,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Instant,
};

use foreshore_image::{ClientOptions, Credentials, RegistryClient};
use foreshore_model::{
    ArtifactId, ArtifactRecord, Digest,
    artifact::{PlanStamp, Source},
};
use foreshore_server::{Options, Server, credentials};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

type Failure = Box<dyn Error + Send + Sync>;

const SERVICES: usize = 50;
const PUSHED_AT_ONCE: usize = 4;
const SINGLES: usize = 20;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let rounds: usize = std::env::args().nth(1).unwrap_or_default().parse()?;
    foreshore_cluster::install_tls_provider();
    let folder = tempfile::tempdir()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let shutdown = CancellationToken::new();
    let options = Options {
        program: None,
        ..Options::new(folder.path().to_owned(), listener)
    };
    let server = Server::start(options, shutdown.clone()).await?;
    let bench = Bench {
        url: server.url().to_owned(),
        token: credentials::read(folder.path(), "owner")
            .ok_or("the server wrote no credential for its owner")?
            .token,
        repository: folder.path().join("server/config.git"),
        http: reqwest::Client::new(),
    };
    let (mut together, mut alone, mut naive) = (vec![], vec![], vec![]);
    for round in 0..rounds {
        together.push(bench.at_once(round).await?);
        alone.extend(bench.one_by_one(round).await?);
        let (source, target) = (bench.repository.clone(), folder.path().join("naive"));
        naive.push(tokio::task::spawn_blocking(move || pushes(&source, &target)).await??);
    }
    tell("50 releases of 50 services at once", "seconds", &together);
    tell("the same as naive pushes with git", "seconds", &naive);
    tell("one release, request to durable commit", "ms", &alone);
    shutdown.cancel();
    drop(server);
    Ok(())
}

fn tell(name: &str, unit: &str, rounds: &[f64]) {
    println!("{}", json!({"name": name, "unit": unit, "rounds": rounds}));
}

struct Bench {
    url: String,
    token: String,
    repository: PathBuf,
    http: reqwest::Client,
}

impl Bench {
    /// Pushes an artifact of each service, then asks for all releases at once.
    async fn at_once(&self, round: usize) -> Result<f64, Failure> {
        let artifacts: Vec<(String, Digest)> = stream::iter(0..SERVICES)
            .map(|number| self.push(format!("service-{number}"), round))
            .buffer_unordered(PUSHED_AT_ONCE)
            .try_collect()
            .await?;
        let before = self.commits()?;
        let started = Instant::now();
        let releases = artifacts
            .iter()
            .map(|(service, digest)| self.release(service, digest));
        for answer in futures::future::join_all(releases).await {
            answer?;
        }
        let elapsed = started.elapsed().as_secs_f64();
        let commits = self.commits()? - before;
        if commits != SERVICES {
            return Err(format!("{commits} commits for {SERVICES} releases").into());
        }
        Ok(elapsed)
    }

    /// Milliseconds of each of some releases, one after the other.
    async fn one_by_one(&self, round: usize) -> Result<Vec<f64>, Failure> {
        let mut measured = vec![];
        for number in 0..SINGLES {
            let change = (round + 1) * 1_000 + number;
            let (service, digest) = self.push("single".to_owned(), change).await?;
            let started = Instant::now();
            self.release(&service, &digest).await?;
            measured.push(started.elapsed().as_secs_f64() * 1000.0);
        }
        Ok(measured)
    }

    async fn release(&self, service: &str, digest: &Digest) -> Result<(), Failure> {
        let body = json!({
            "service": service, "environment": "dev", "selection": {"digest": digest},
            "reason": "a bench", "idempotency_key": format!("{service}-{digest}"),
        });
        let answer = self
            .http
            .post(format!("{}/api/v1/releases", self.url))
            .bearer_auth(&self.token)
            .json(&body)
            .send()
            .await?;
        if answer.status().is_success() {
            return Ok(());
        }
        let problem: Value = answer.json().await?;
        Err(format!("a release of {service} was refused: {problem}").into())
    }

    async fn push(&self, service: String, change: usize) -> Result<(String, Digest), Failure> {
        let options = ClientOptions {
            credentials: Credentials::Bearer(self.token.clone()),
            ..ClientOptions::default()
        };
        let client = RegistryClient::new(self.url.trim_start_matches("http://"), options)?;
        let pushed = foreshore_artifact::push(&client, &record(&service, change)?).await?;
        Ok((service, pushed.digest().clone()))
    }

    fn commits(&self) -> Result<usize, Failure> {
        Ok(git(&self.repository, &["rev-list", "--count", "main"])?
            .trim()
            .parse()?)
    }
}

fn record(service: &str, change: usize) -> Result<ArtifactRecord, Failure> {
    let text = format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {service}\nspec:\n  template:\n    spec:\n      containers:\n        - name: app\n          image: app:{change}\n"
    );
    let files = BTreeMap::from([("deployment.yaml".to_owned(), text)]);
    let commit = format!("{change:010x}{}", "0".repeat(30));
    // Not `main`: its artifacts are released to dev as they arrive, which would race with what is measured.
    let branch = "measured";
    Ok(ArtifactRecord {
        id: ArtifactId::from_parts(branch, &commit, "plan"),
        service: service.parse()?,
        owner: "shop".to_owned(),
        source: Source {
            commit,
            branch: branch.to_owned(),
            tag: None,
            author: "ada".to_owned(),
            message: format!("change {change}"),
            committed_at: foreshore_model::clock::now(),
            modified: false,
        },
        plan: PlanStamp {
            name: "rust-service".to_owned(),
            hash: Digest::of(b"plan"),
            commit: None,
            reference: String::new(),
        },
        tool: "0.1.0".to_owned(),
        images: BTreeMap::new(),
        manifests: BTreeMap::from([("dev".parse()?, files)]),
        stages: vec![],
        ci: None,
        checks: Vec::new(),
        definition: String::new(),
    })
}

fn git(folder: &Path, arguments: &[&str]) -> Result<String, Failure> {
    let output = Command::new("git")
        .args([
            "-c",
            "user.name=bench",
            "-c",
            "user.email=bench@example.org",
        ])
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("git {}: {said}", arguments.join(" ")).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Seconds until fifty clones have pushed a commit each to a copy of the repository.
fn pushes(source: &Path, folder: &Path) -> Result<f64, Failure> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::create_dir_all(folder)?;
    let from = source.display().to_string();
    git(folder, &["clone", "--quiet", "--bare", &from, "bare.git"])?;
    for number in 0..SERVICES {
        git(
            folder,
            &["clone", "--quiet", "bare.git", &format!("clone-{number}")],
        )?;
    }
    let started = Instant::now();
    let people: Vec<_> = (0..SERVICES)
        .map(|number| {
            let clone = folder.join(format!("clone-{number}"));
            thread::spawn(move || push_until_through(&clone, number))
        })
        .collect();
    for person in people {
        person.join().map_err(|_| "a push panicked")??;
    }
    Ok(started.elapsed().as_secs_f64())
}

fn push_until_through(clone: &Path, number: usize) -> Result<(), Failure> {
    std::fs::write(clone.join(format!("file-{number}")), "changed")?;
    git(clone, &["add", "--all"])?;
    git(clone, &["commit", "--quiet", "--message", "change"])?;
    while git(clone, &["push", "--quiet", "origin", "HEAD:main"]).is_err() {
        git(clone, &["pull", "--quiet", "--rebase", "origin", "main"])?;
    }
    Ok(())
}
