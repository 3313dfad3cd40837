//! The tools we stand beside: found or built into the cache, and how each is told the same.

use std::{path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::{
    repository, shell, terminal,
    tools::{self, Cache},
};

const OHA: &str = "1.16.0";

/// A tool that can send the same load.
pub(super) struct Peer {
    pub(super) name: &'static str,
    pub(super) program: PathBuf,
    arguments: fn(&mut Command, url: &str, connections: u64, seconds: u64),
}

impl Peer {
    /// Sends as fast as possible over so many connections.
    pub(super) fn closed(&self, command: &mut Command, url: &str, connections: u64, seconds: u64) {
        (self.arguments)(command, url, connections, seconds);
    }
}

pub(super) fn all() -> Result<Vec<Peer>> {
    let cache = Cache::locate()?;
    Ok(vec![
        Peer {
            name: "wrk",
            program: wrk()?,
            arguments: |command, url, connections, seconds| {
                command.args([
                    "-t1",
                    &format!("-c{connections}"),
                    &format!("-d{seconds}s"),
                    url,
                ]);
            },
        },
        Peer {
            name: "oha",
            program: oha(&cache)?,
            arguments: |command, url, connections, seconds| {
                command.env("TOKIO_WORKER_THREADS", "1").args([
                    "--no-tui",
                    "-c",
                    &connections.to_string(),
                    "-z",
                    &format!("{seconds}s"),
                    url,
                ]);
            },
        },
        Peer {
            name: "hey",
            program: go(&cache, "hey", "github.com/rakyll/hey")?,
            arguments: |command, url, connections, seconds| {
                command.env("GOMAXPROCS", "1").args([
                    "-c",
                    &connections.to_string(),
                    "-z",
                    &format!("{seconds}s"),
                    url,
                ]);
            },
        },
        Peer {
            name: "k6",
            program: go(&cache, "k6", "go.k6.io/k6")?,
            arguments: |command, url, connections, seconds| {
                // A script from a variable would need a shell; k6 reads it from a file.
                let script = format!(
                    "import http from 'k6/http'; export default function () {{ http.get('{url}/'); }}"
                );
                let file =
                    std::env::temp_dir().join(format!("foreshore-k6-{}.js", std::process::id()));
                // When it cannot be written, k6 says so and sends nothing, which is an error.
                drop(std::fs::write(&file, script));
                command
                    .env("GOMAXPROCS", "1")
                    .args([
                        "run",
                        "--quiet",
                        "--no-summary",
                        "--no-usage-report",
                        "--vus",
                    ])
                    .arg(connections.to_string())
                    .args(["--duration", &format!("{seconds}s")])
                    .arg(file);
            },
        },
    ])
}

fn wrk() -> Result<PathBuf> {
    let path = tools::variable("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join("wrk"))
        .find(|path| path.is_file());
    match found {
        Some(path) => Ok(path),
        None => bail!("wrk is missing; install it with: apt-get install wrk"),
    }
}

/// Path of a program of a Go module under `oracle/`; Go's own cache makes the second time quick.
fn go(cache: &Cache, name: &str, package: &str) -> Result<PathBuf> {
    let program = cache.path().join("tools/load-peers").join(name);
    let mut build = Command::new("go");
    build
        .current_dir(repository::root().join("oracle").join(name))
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "-mod=mod")
        .env("CGO_ENABLED", "0")
        .args([
            "build",
            "-trimpath",
            "-buildvcs=false",
            "-ldflags=-s -w",
            "-o",
        ])
        .arg(&program)
        .arg(package);
    shell::run(&mut build).with_context(|| {
        format!("cannot build {name}; the Go module proxy must be reachable the first time")
    })?;
    Ok(program)
}

/// Path of `oha`, which is built into the cache if it is not there.
fn oha(cache: &Cache) -> Result<PathBuf> {
    let home = cache.path().join("tools").join(format!("oha-{OHA}"));
    let program = home.join("bin/oha");
    if program.exists() {
        return Ok(program);
    }
    terminal::note(&format!("building oha {OHA}; the first time takes minutes"));
    shell::run(
        shell::cargo()
            .args(["install", "oha", "--locked", "--quiet"])
            .args(["--version", OHA])
            .arg("--root")
            .arg(&home)
            .env_remove("RUSTFLAGS"),
    )
    .context("cannot build oha; the package registry must be reachable the first time")?;
    Ok(program)
}
