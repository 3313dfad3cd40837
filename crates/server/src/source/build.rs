//! Builds one job after the other, each in a folder of its own and with a token of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use foreshore_git::{ObjectId, Repository};
use foreshore_identity::{Principal, Right, Store};
use foreshore_model::api::BuildRow;
use foreshore_model::{Actor, ArtifactId, ServiceFile, chain, clock, yaml};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use crate::state::State;

/// A build that takes longer is ended.
const TIME_MAX: Duration = Duration::from_mins(30);
/// What is kept of what a build says.
const LOG_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What a build answers is one JSON document.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// What a build may know of the machine it runs on.
const PASSED_ON: [&str; 12] = [
    "PATH",
    "HOME",
    "LANG",
    "TMPDIR",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "GOPATH",
    "GOCACHE",
    "GOMODCACHE",
    "FORESHORE_CACHE",
    "XDG_CACHE_HOME",
    "SSL_CERT_FILE",
];

/// What builds need of the server.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// This program, which knows how to build.
    pub(crate) program: PathBuf,
    /// Where the server answers.
    pub(crate) server: String,
    /// The source repositories.
    pub(crate) repositories: PathBuf,
    /// Where checkouts are made.
    pub(crate) work: PathBuf,
}

impl Settings {
    pub(crate) fn new(program: PathBuf, server: String, home: &Path) -> Self {
        Self {
            program,
            server,
            repositories: Self::repositories(home),
            work: home.join("work"),
        }
    }

    /// Where source repositories are.
    pub(crate) fn repositories(home: &Path) -> PathBuf {
        home.join("source")
    }
}

/// Carries the jobs out.
pub(crate) struct Builder {
    state: Arc<State>,
    settings: Settings,
}

impl Builder {
    pub(crate) fn new(state: Arc<State>, settings: Settings) -> Self {
        Self { state, settings }
    }

    pub(crate) async fn run(self, shutdown: CancellationToken) {
        // What a killed server left of its checkouts.
        let _gone = fs::remove_dir_all(&self.settings.work);
        loop {
            let (number, build, attempt) = tokio::select! {
                job = self.state.builds.next(clock::now) => job,
                () = shutdown.cancelled() => return,
            };
            self.state.changes.announce();
            let made = tokio::select! {
                made = self.build(&build, attempt) => made,
                // It waits again after the next start.
                () = shutdown.cancelled() => return,
            };
            match &made {
                Ok(artifact) => {
                    tracing::info!(build = %build.id, service = %build.service, %artifact, "built");
                }
                Err(problem) => {
                    tracing::warn!(build = %build.id, service = %build.service, problem, "not built");
                }
            }
            self.state.builds.finish(number, made, clock::now());
            self.state.changes.announce();
        }
    }

    async fn build(&self, build: &BuildRow, attempt: u32) -> Result<ArtifactId, String> {
        let folder = self.settings.work.join(format!("{}-{attempt}", build.id));
        let prepared = {
            let (settings, build, folder) = (self.settings.clone(), build.clone(), folder.clone());
            tokio::task::spawn_blocking(move || prepare(&settings, &build, &folder)).await
        };
        let result = match prepared {
            Ok(Ok(directory)) => self.carry_out(build, &directory).await,
            Ok(Err(problem)) => Err(problem),
            Err(error) => Err(error.to_string()),
        };
        // The next start removes what stays.
        let _gone = tokio::task::spawn_blocking(move || fs::remove_dir_all(folder)).await;
        result
    }

    /// Builds what is checked out, with a token that can push this service and nothing else.
    async fn carry_out(&self, build: &BuildRow, directory: &Path) -> Result<ArtifactId, String> {
        let name = format!("{HOLDER_PREFIX}{}", build.service);
        let token = issue(&self.state.identities, &name, build).map_err(|error| chain(&error))?;
        let result = self.run_program(build, directory, &token).await;
        if let Err(error) = self.state.identities.revoke(&name) {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the token of a build stays valid"
            );
        }
        result
    }

    async fn run_program(
        &self,
        build: &BuildRow,
        directory: &Path,
        token: &str,
    ) -> Result<ArtifactId, String> {
        let branch = build.reference.splitn(3, '/').nth(2).unwrap_or_default();
        let server = &self.settings.server;
        let mut command = tokio::process::Command::new(&self.settings.program);
        command
            .args([
                "run", "build", "--jail", "-o", "json", "--branch", branch, "-C",
            ])
            .arg(directory)
            .env_clear()
            .envs(passed_on())
            .env("CI", "true")
            .env("NO_COLOR", "1")
            .env("FORESHORE_SERVER", server)
            .env("FORESHORE_TOKEN", token)
            .env(
                "FORESHORE_CI_URL",
                format!("{server}/api/v1/builds/{}/log", build.id),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .map_err(|error| format!("cannot start the build: {error}"))?;
        let group = Group(child.id());
        let log = self.state.builds.log_path(&build.id);
        let stdout = child.stdout.take().expect("stdout is piped");
        let stderr = child.stderr.take().expect("stderr is piped");
        let work = async {
            let (answer, said, status) = tokio::join!(
                collect(stdout, ANSWER_BYTES_MAX),
                write_log(stderr, &log),
                child.wait()
            );
            (answer, said, status)
        };
        let ended = tokio::time::timeout(TIME_MAX, work).await;
        drop(group);
        let Ok((answer, said, status)) = ended else {
            return Err(format!("it was ended after {TIME_MAX:?}"));
        };
        let status = status.map_err(|error| format!("the build was lost: {error}"))?;
        conclude(status, &answer, &said)
    }
}

/// Names that belong to builds; people cannot have tokens issued for them.
pub(crate) const HOLDER_PREFIX: &str = "build-";

fn issue(
    identities: &Store,
    name: &str,
    build: &BuildRow,
) -> Result<String, foreshore_identity::IdentityError> {
    identities.put(&Principal {
        actor: Actor::new(name, format!("{name}@foreshore.local")),
        rights: vec![Right::Push(build.service.clone())],
    })?;
    identities.revoke(name)?;
    Ok(identities.issue(name, clock::now())?.reveal().to_owned())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the server is one of the two that read the environment"
)]
fn passed_on() -> BTreeMap<String, String> {
    let names = PASSED_ON.iter().copied();
    names
        .filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?)))
        .collect()
}

/// A build and all it started, which end with it.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let id = self.0.and_then(|id| i32::try_from(id).ok());
        if let Some(group) = id.and_then(rustix::process::Pid::from_raw) {
            // All of it may have ended by itself, which is as good.
            let _gone = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

/// Checks out what was pushed and returns the folder of the service in it.
fn prepare(settings: &Settings, build: &BuildRow, folder: &Path) -> Result<PathBuf, String> {
    let told = |error: foreshore_git::GitError| chain(&error);
    let path = settings.repositories.join(format!("{}.git", build.service));
    let repository = Repository::open(path).map_err(told)?;
    let commit: ObjectId = build.commit.parse().map_err(|_| "no commit".to_owned())?;
    repository
        .check_out(&build.reference, &commit, folder)
        .map_err(told)?;
    let files = repository.sizes(&commit).map_err(told)?;
    let candidates = files
        .iter()
        .map(|(path, _)| path.as_str())
        .filter(|path| *path == FILE || path.ends_with("/foreshore.yaml"));
    find(folder, candidates, build)
}

const FILE: &str = "foreshore.yaml";

/// Finds the one `foreshore.yaml` that is about the service.
fn find<'a>(
    folder: &Path,
    candidates: impl Iterator<Item = &'a str>,
    build: &BuildRow,
) -> Result<PathBuf, String> {
    let mut others = Vec::new();
    let mut found = Vec::new();
    for path in candidates {
        let text = fs::read_to_string(folder.join(path))
            .map_err(|error| format!("cannot read `{path}`: {error}"))?;
        match yaml::read::<ServiceFile>(path, &text) {
            Ok(file) if file.name == build.service => found.push(path),
            Ok(file) => others.push(format!("`{path}` is about `{}`", file.name)),
            // A broken one at the top is what the person wants to hear of.
            Err(error) if path == FILE => return Err(chain(&error)),
            Err(error) => others.push(chain(&error)),
        }
    }
    match found[..] {
        [path] => Ok(folder.join(path.strip_suffix(FILE).unwrap_or(path))),
        [] if others.is_empty() => Err(format!(
            "there is no `{FILE}` in it; `foreshore init` proposes one"
        )),
        [] => Err(format!(
            "no `{FILE}` in it is about `{}`: {}",
            build.service,
            others.join("; ")
        )),
        _ => Err(format!(
            "several files are about `{}`: {}",
            build.service,
            found.join(", ")
        )),
    }
}

/// Reads to the end and keeps the beginning.
async fn collect(mut from: impl AsyncRead + Unpin, most: usize) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut chunk = vec![0; 16 * 1024];
    loop {
        match from.read(&mut chunk).await {
            Ok(0) | Err(_) => return kept,
            Ok(count) => {
                let room = most.saturating_sub(kept.len()).min(count);
                kept.extend_from_slice(&chunk[..room]);
            }
        }
    }
}

/// Writes what a build says into its log as it says it; returns the last lines.
async fn write_log(mut from: impl AsyncRead + Unpin, path: &Path) -> String {
    let mut file = tokio::fs::File::create(path).await.ok();
    let mut left = LOG_BYTES_MAX;
    let mut last = Vec::new();
    let mut chunk = vec![0; 16 * 1024];
    loop {
        let count = match from.read(&mut chunk).await {
            Ok(0) | Err(_) => break,
            Ok(count) => count,
        };
        let said = &chunk[..count];
        last.extend_from_slice(said);
        last.drain(..last.len().saturating_sub(4096));
        let Some(log) = &mut file else { continue };
        let room = left.min(count);
        left -= room;
        let cut: &[u8] = if room < count { b"\n[cut]\n" } else { b"" };
        let written = async {
            log.write_all(&said[..room]).await?;
            log.write_all(cut).await?;
            log.flush().await
        };
        // A log that cannot be written is no reason to end the build.
        if written.await.is_err() || room < count {
            file = None;
        }
    }
    String::from_utf8_lossy(&last).into_owned()
}

/// What became of a build: the artifact it names, or the error it told.
fn conclude(status: ExitStatus, answer: &[u8], said: &str) -> Result<ArtifactId, String> {
    if !status.success() {
        let told = said.lines().rev().find(|line| line.starts_with("error: "));
        return Err(match told {
            Some(line) => line.trim_start_matches("error: ").to_owned(),
            None => format!("it ended with {status}; its log tells more"),
        });
    }
    let answer: Option<Value> = serde_json::from_slice(answer).ok();
    let id = answer.as_ref().and_then(|answer| answer["id"].as_str());
    id.and_then(|id| id.parse().ok())
        .ok_or_else(|| "it named no artifact".to_owned())
}
