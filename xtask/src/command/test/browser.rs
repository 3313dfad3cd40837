//! The dashboard's pages in a real browser, with accessibility checks.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::Instant,
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
/// The tests that can keep a ground up, and the one that does.
const GROUND_PROGRAM: &str = "server/test/it";
const GROUND_TEST: &str = "served::every_page_answers_over_the_real_control_plane";

/// Runs them, or says that they were not run: without a browser there is nothing to count.
pub(super) fn run(cache: &Cache, built: &Built) -> Tally {
    if let Err(error) = tools::ensure_for_browser() {
        terminal::line(&format!("NOT RUN pages in a browser: {error:#}"));
        return Tally::default();
    }
    let mut all = Tally::default();
    let parts: [(&str, &dyn Fn() -> Result<Tally>); 3] = [
        ("made-up clusters", &|| pages(cache)),
        ("engine", &|| ground(cache, built, "engine")),
        ("real", &|| ground(cache, built, "real")),
    ];
    for (name, part) in parts {
        let started = Instant::now();
        match part() {
            Ok(tally) => all += tally,
            Err(error) => {
                terminal::error(&error);
                all += Tally::FAILED;
            }
        }
        terminal::note(&format!("{name}: {:.0} s", started.elapsed().as_secs_f64()));
    }
    all
}

/// Every page, and on the engine every action, over a ground that a test of the server keeps up.
fn ground(cache: &Cache, built: &Built, kind: &str) -> Result<Tally> {
    let program = built
        .tests
        .iter()
        .find(|program| program.name == GROUND_PROGRAM)
        .with_context(|| format!("the tests `{GROUND_PROGRAM}` were not built"))?;
    let mut served = Command::new(&program.path)
        .args([GROUND_TEST, "--exact", "--nocapture"])
        .current_dir(&program.folder)
        .env("FORESHORE_SERVE_PAGES", kind)
        .env("FORESHORE_CACHE", cache.path())
        .env("FORESHORE_ORACLE", cache.programs())
        .env("FORESHORE_BIN", built.program("foreshore")?)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the pages")?;
    let judged = address(&mut served).and_then(|address| {
        let output = Command::new("node")
            .args(["ground.mjs", &address, kind])
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
    });
    // The end of its input is the end of the ground; a browser that failed must not leave it behind.
    drop(served.stdin.take());
    served.wait().context("cannot wait for the pages to end")?;
    judged
}

/// Where the pages are, as the test says on a line of its own.
fn address(served: &mut Child) -> Result<String> {
    let stdout = served.stdout.take().context("its output was asked for")?;
    let mut lines = BufReader::new(stdout).lines();
    let found = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let address = line.strip_prefix("PAGES ")?;
        Some(address.to_owned())
    });
    // What it says later is nobody's; a pipe that is closed would end it.
    thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    found.context("the pages ended before they were there")
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
pub(crate) fn folder(cache: &Cache) -> Result<PathBuf> {
    let sources = repository::root().join(SOURCES);
    let lock = fs::read(sources.join("package-lock.json")).context("cannot read the lock file")?;
    let folder = cache.tool("browser", &hex::encode(&Sha256::digest(&lock)[..8]));
    fs::create_dir_all(&folder).context("cannot make the folder of the browser tests")?;
    for name in [
        "package.json",
        "package-lock.json",
        "run.mjs",
        "ground.mjs",
        "bench.mjs",
    ] {
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
