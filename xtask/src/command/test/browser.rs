//! The dashboard's pages in a real browser, with accessibility checks.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::{
    gates::Tally,
    repository, shell, terminal,
    test_run::{self, Built},
    tools::{self, Cache},
};

const SOURCES: &str = "crates/dashboard/browser";
const PROGRAM: &str = "showcase";

/// Runs them, or says that they were not run: without a browser there is nothing to count.
pub(super) fn run(cache: &Cache) -> Tally {
    if let Err(error) = tools::ensure_for_browser() {
        terminal::line(&format!("NOT RUN pages in a browser: {error:#}"));
        return Tally::default();
    }
    match pages(cache) {
        Ok(tally) => tally,
        Err(error) => {
            terminal::error(&error);
            Tally::FAILED
        }
    }
}

fn pages(cache: &Cache) -> Result<Tally> {
    let built: Built = test_run::build(&["build", "--example", PROGRAM])?;
    let output = Command::new("node")
        .arg("run.mjs")
        .arg(built.program(PROGRAM)?)
        .current_dir(folder(cache)?)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run node")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let tally = test_run::judge_many(&text, output.status.success());
    if tally.failed > 0 {
        terminal::line(&text);
    }
    Ok(tally)
}

/// The tests beside the modules they need, which are fetched once for each lock file.
fn folder(cache: &Cache) -> Result<PathBuf> {
    let sources = repository::root().join(SOURCES);
    let lock = fs::read(sources.join("package-lock.json")).context("cannot read the lock file")?;
    let folder = cache.tool("browser", &hex::encode(&Sha256::digest(&lock)[..8]));
    fs::create_dir_all(&folder).context("cannot make the folder of the browser tests")?;
    for name in ["package.json", "package-lock.json", "run.mjs"] {
        fs::copy(sources.join(name), folder.join(name))
            .with_context(|| format!("cannot copy `{name}`"))?;
    }
    // npm writes this file when everything is in its place.
    if !folder.join("node_modules/.package-lock.json").exists() {
        shell::run(
            Command::new("npm")
                .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
                .current_dir(&folder)
                .stdin(Stdio::null()),
        )
        .context("cannot fetch the modules; the npm registry must be reachable the first time")?;
    }
    Ok(folder)
}
