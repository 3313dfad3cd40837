//! `test`: exactly what CI runs.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};

use super::check;
use crate::{
    command::test::shared::SharedCluster,
    gates::{Gates, Tally},
    generated, shell, terminal,
    test_run::{self, Built, Environment},
    tools::{self, Cache},
};

pub(crate) mod browser;
mod deny;
mod shared;

/// Run every check and test; the last line counts them
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

pub(crate) fn run(_: &Arguments) -> Result<ExitCode> {
    let cache = Cache::locate()?;
    let mut gates = Gates::default();
    gates.gate("packages", || {
        tools::ensure_for_kubelet();
        tools::ensure_companions();
        tools::ensure_packages()
    });
    gates.gate("format", check::format);
    gates.gate("lints", check::lints);
    gates.gate("oracle", || tools::oracle(&cache));
    let mut built = Built::default();
    gates.gate("build", || {
        test_run::attempt(&mut built, &["build", "--bins"])
    });
    gates.gate("build of tests", || {
        test_run::attempt(&mut built, &["build", "--tests"])
    });
    tests(&mut gates, &cache, &built);
    gates.section("pages in a browser", || browser::run(&cache, &built));
    gates.section("documentation examples", test_run::run_doc_tests);
    gates.gate("documentation", documentation);
    gates.gate("dependencies", || deny::run(&cache));
    gates.gate("generated files", || {
        generated::all(&cache, &built, generated::Purpose::Compare)
    });
    Ok(if gates.conclude() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn tests(gates: &mut Gates, cache: &Cache, built: &Built) {
    let mut environment: Environment = vec![
        (
            "FORESHORE_CACHE".to_owned(),
            cache.path().display().to_string(),
        ),
        (
            "FORESHORE_ORACLE".to_owned(),
            cache.programs().display().to_string(),
        ),
    ];
    if let Ok(program) = built.program("foreshore") {
        environment.push(("FORESHORE_BIN".to_owned(), program.display().to_string()));
    }
    let mut shared = None;
    gates.gate("real control plane", || {
        let cluster = SharedCluster::start(cache, built)?;
        terminal::note(&format!(
            "ready after {:.1} s",
            cluster.started_in().as_secs_f64()
        ));
        environment.push((
            "FORESHORE_REAL_KUBECONFIG".to_owned(),
            cluster.kubeconfig().to_owned(),
        ));
        shared = Some(cluster);
        Ok(())
    });
    gates.section("tests", || {
        if built.tests.is_empty() {
            terminal::note("nothing was built, so nothing is tested");
            return Tally::FAILED;
        }
        test_run::run_all(&built.tests, &environment, &logs(cache))
    });
    if let Some(cluster) = shared {
        gates.gate("real control plane stops", || cluster.stop());
    }
}

fn logs(cache: &Cache) -> PathBuf {
    cache.path().join("test-logs")
}

fn documentation() -> Result<()> {
    shell::run(
        shell::cargo()
            .args([
                "doc",
                "--workspace",
                "--no-deps",
                "--document-private-items",
                "--quiet",
            ])
            // Written for readers of the source, so private items are in it.
            .env(
                "RUSTDOCFLAGS",
                "--deny warnings --allow rustdoc::private-intra-doc-links",
            ),
    )
    .context("documentation has warnings")
}
