//! `bench`: measures something and writes it to docs/benchmarks.md.

mod dashboard;
mod engine;
mod figures;
mod load;
mod report;
mod spine;

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, ExitCode, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;

use crate::{
    shell, terminal,
    test_run::{self, Built},
    tools::{self, Cache},
};
use report::Report;
use spine::Platform;

/// Measure and write down: commit, kernel, every round
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What to measure
    name: Benchmark,

    /// How often
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,

    /// Only this part of `engine`: start, memory, creates, lists, watchers or scale
    #[arg(long, value_name = "PART")]
    part: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Benchmark {
    /// Start of the real control plane until pods are admitted
    RealStart,
    /// Start of the embedded engine until it answers
    EngineStart,
    /// Start of the whole platform until its URL answers
    Up,
    /// A changed setting until its pods are healthy in dev
    PushToReady,
    /// Memory of the whole platform at rest
    Memory,
    /// Processor time of the whole platform at rest
    Idle,
    /// The load generator beside wrk, oha, k6 and hey
    Load,
    /// The embedded API beside the real one and etcd
    Engine,
    /// The server's releases and the agent's fleets
    Releases,
    /// Pods, their rolling updates, their ingress beside nginx, their logs
    Pods,
    /// The pages over 5,000 pods; `--rounds` is for how many minutes a tab stays open
    Dashboard,
    /// Plans, rendering beside helm, images, the registry beside Debian's
    Plans,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let rounds = arguments.rounds;
    match arguments.name {
        Benchmark::RealStart => one(
            "Start of the real control plane until pods are admitted",
            "seconds",
            "dev",
            &starts("real", rounds)?,
        ),
        Benchmark::EngineStart => one(
            "Start of the embedded engine until it answers",
            "seconds",
            "dev",
            &starts("engine", rounds)?,
        ),
        Benchmark::Up => {
            let platform = Platform::prepare()?;
            let measured = repeat(rounds, || platform.start_once())?;
            one(
                "`up` from nothing to its URL",
                "seconds",
                "release",
                &measured,
            )
        }
        Benchmark::PushToReady => one(
            "A changed setting to healthy pods in dev",
            "seconds",
            "release",
            &Platform::prepare()?.push_to_ready(rounds)?,
        ),
        Benchmark::Memory => {
            let platform = Platform::prepare()?;
            let measured = repeat(rounds, || platform.memory_at_rest())?;
            one(
                "Memory of the whole platform at rest",
                "MiB",
                "release",
                &measured,
            )
        }
        Benchmark::Idle => {
            let platform = Platform::prepare()?;
            let measured = repeat(rounds, || platform.processor_at_rest())?;
            one(
                "Processor time of the whole platform at rest",
                "percent of one processor",
                "release",
                &measured,
            )
        }
        Benchmark::Load => load::measure(rounds),
        Benchmark::Engine => engine::measure(rounds, arguments.part.as_deref()),
        Benchmark::Releases => {
            let words = [rounds.to_string()];
            figures::measure("Releases", "releases", &words)?;
            figures::measure("Agent", "fleet", &words)
        }
        Benchmark::Pods => {
            tools::ensure_for_benches()?;
            let words = ["--rounds".to_owned(), rounds.to_string()];
            figures::measure("Pods", "pods", &words)
        }
        Benchmark::Dashboard => dashboard::measure(rounds),
        Benchmark::Plans => plans(rounds),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the only section of a benchmark.
fn one(title: &str, unit: &str, profile: &str, rounds: &[f64]) -> Result<()> {
    Report {
        title,
        unit,
        profile,
        rounds,
    }
    .write()
}

fn plans(rounds: usize) -> Result<()> {
    tools::ensure_for_benches()?;
    let cache = Cache::locate()?;
    tools::oracle(&cache)?;
    let words = [
        "--rounds".to_owned(),
        rounds.to_string(),
        "--foreshore".to_owned(),
        figures::foreshore().display().to_string(),
        "--helm".to_owned(),
        cache.programs().join("helm").display().to_string(),
        "--docker-registry".to_owned(),
        "/usr/bin/docker-registry".to_owned(),
    ];
    figures::measure("Plans", "plans", &words)
}

/// Builds every program in the release profile, always all of them: a part of the workspace would
/// choose other features for shared dependencies and compile them again.
fn build_released() -> Result<()> {
    let mut cargo = shell::cargo();
    cargo.args(["build", "--release", "--workspace", "--bins", "--examples"]);
    shell::run(&mut cargo)
}

fn repeat(rounds: usize, mut measure: impl FnMut() -> Result<f64>) -> Result<Vec<f64>> {
    let mut measured = Vec::new();
    for round in 1..=rounds {
        let value = measure()?;
        terminal::note(&format!("round {round}: {value:.2}"));
        measured.push(value);
    }
    Ok(measured)
}

fn starts(ground: &str, rounds: usize) -> Result<Vec<f64>> {
    let cache = Cache::locate()?;
    tools::ensure_packages()?;
    tools::oracle(&cache)?;
    let built = test_run::build(&["build", "--bins"])?;
    repeat(rounds, || start_once(&cache, &built, ground))
}

/// Starts a cluster, waits for its line, stops it.
fn start_once(cache: &Cache, built: &Built, ground: &str) -> Result<f64> {
    let started = Instant::now();
    let mut child = Command::new(built.program("foreshore-test-cluster")?)
        .args([ground, "--until-stdin-closes"])
        .env("FORESHORE_CACHE", cache.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the cluster")?;
    let stdout = child.stdout.take().context("its output was asked for")?;
    let mut line = String::new();
    BufReader::new(stdout)
        .read_line(&mut line)
        .context("cannot read what the cluster says")?;
    let elapsed = started.elapsed().as_secs_f64();
    drop(child.stdin.take());
    let status = child.wait().context("cannot collect the cluster")?;
    if line.is_empty() || !status.success() {
        bail!("the cluster did not become ready, or ended with {status}");
    }
    Ok(elapsed)
}
