//! Builds the test programs, runs each, and counts what they say.
//!
//! Programs are run here rather than by `cargo test`, so that one that crashes,
//! hangs or prints nonsense is counted as what it is: a failure.

mod build;
mod verdict;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

pub(crate) use build::{Built, attempt, build};
use verdict::judge;
pub(crate) use verdict::judge_many;

use crate::{gates::Tally, repository, shell, terminal};

/// Longer than any test program that is not stuck.
const LIMIT: Duration = Duration::from_mins(15);

/// How much of a failed program's output is shown.
const TAIL_LINES: usize = 200;

/// One test program.
#[derive(Debug, Clone)]
pub(crate) struct TestProgram {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) folder: PathBuf,
}

/// Variables given to every test program.
pub(crate) type Environment = Vec<(String, String)>;

/// Runs every program in turn and adds up.
pub(crate) fn run_all(programs: &[TestProgram], environment: &Environment, logs: &Path) -> Tally {
    let mut sum = Tally::default();
    for program in programs {
        match run_one(program, environment, logs) {
            Ok(tally) => sum += tally,
            Err(error) => {
                terminal::error(&error);
                sum += Tally::FAILED;
            }
        }
    }
    sum
}

fn run_one(program: &TestProgram, environment: &Environment, logs: &Path) -> Result<Tally> {
    fs::create_dir_all(logs).with_context(|| format!("cannot make `{}`", logs.display()))?;
    let log = logs.join(format!("{}.log", program.name.replace('/', "-")));
    let output = File::create(&log).with_context(|| format!("cannot write `{}`", log.display()))?;
    let started = Instant::now();
    let mut child = Command::new(&program.path)
        .current_dir(&program.folder)
        .env("CARGO_MANIFEST_DIR", &program.folder)
        .env("INSTA_UPDATE", "no")
        .env("INSTA_WORKSPACE_ROOT", repository::root())
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(output.try_clone().context("cannot share a log file")?)
        .stderr(output)
        .spawn()
        .with_context(|| format!("cannot run `{}`", program.path.display()))?;
    let status = loop {
        if let Some(status) = child.try_wait().context("cannot wait for a test program")? {
            break Some(status);
        }
        if started.elapsed() > LIMIT {
            child
                .kill()
                .context("cannot end a test program that hangs")?;
            child.wait().context("cannot collect a test program")?;
            break None;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let text = fs::read(&log).with_context(|| format!("cannot read `{}`", log.display()))?;
    let text = String::from_utf8_lossy(&text);
    let tally = judge(&text, status.is_some_and(|status| status.success()));
    let elapsed = started.elapsed().as_secs_f64();
    if tally.failed > 0 || status.is_none() {
        let lines: Vec<&str> = text.lines().collect();
        terminal::line(&lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n"));
    }
    if status.is_none() {
        terminal::line(&format!("{} did not end within {LIMIT:?}", program.name));
    }
    for what in verdict::not_run(&text) {
        terminal::line(&format!("NOT RUN {what}"));
    }
    terminal::line(&format!("{}: {tally} ({elapsed:.1} s)", program.name));
    Ok(tally)
}

/// Runs the examples in the documentation.
pub(crate) fn run_doc_tests() -> Tally {
    let mut cargo = shell::cargo();
    cargo
        .args(["test", "--workspace", "--doc", "--no-fail-fast", "--quiet"])
        .stderr(Stdio::inherit());
    match cargo.output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout);
            let tally = judge_many(&text, output.status.success());
            if tally.failed > 0 {
                terminal::line(&text);
            }
            tally
        }
        Err(error) => {
            terminal::note(&format!("cannot run `{}`: {error}", shell::spelled(&cargo)));
            Tally::FAILED
        }
    }
}
