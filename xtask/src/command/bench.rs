//! `bench`: measures something and writes it to docs/benchmarks.md.

mod report;

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, ExitCode, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;

use crate::{
    terminal,
    test_run::{self, Built},
    tools::{self, Cache},
};
use report::Report;

/// Measure and write down: commit, kernel, every round
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What to measure
    name: Benchmark,

    /// How often
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Benchmark {
    /// Start of the real control plane until pods are admitted
    RealStart,
    /// Start of the embedded engine until it answers
    EngineStart,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let cache = Cache::locate()?;
    tools::ensure_packages()?;
    tools::oracle(&cache)?;
    let built = test_run::build(&["build", "--bins"])?;
    let (title, ground) = match arguments.name {
        Benchmark::RealStart => (
            "Start of the real control plane until pods are admitted",
            "real",
        ),
        Benchmark::EngineStart => ("Start of the embedded engine until it answers", "engine"),
    };
    let mut rounds = Vec::new();
    for round in 1..=arguments.rounds {
        let seconds = start_once(&cache, &built, ground)?;
        terminal::note(&format!("round {round}: {seconds:.2} s"));
        rounds.push(seconds);
    }
    Report {
        title,
        unit: "seconds",
        profile: "dev",
        rounds: &rounds,
    }
    .write()?;
    Ok(ExitCode::SUCCESS)
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
