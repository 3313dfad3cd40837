//! `cargo-deny`, built once into the cache.

use std::{path::PathBuf, time::Instant};

use anyhow::{Context as _, Result};

use super::Cache;
use crate::{shell, terminal};

const VERSION: &str = "0.20.2";

/// Path of `cargo-deny`, which is built if it is not there.
pub(crate) fn cargo_deny(cache: &Cache) -> Result<PathBuf> {
    let home = cache.tool("cargo-deny", VERSION);
    let program = home.join("bin/cargo-deny");
    if program.exists() {
        return Ok(program);
    }
    terminal::note(&format!(
        "building cargo-deny {VERSION}; the first time takes minutes"
    ));
    let started = Instant::now();
    // It runs for a second: an unoptimised build is there sooner.
    shell::run(
        shell::cargo()
            .args(["install", "cargo-deny", "--locked", "--debug", "--quiet"])
            .args(["--version", VERSION])
            .arg("--root")
            .arg(&home)
            .arg("--target-dir")
            .arg(home.join("build"))
            .env_remove("RUSTFLAGS"),
    )
    .context("cannot build cargo-deny; the package registry must be reachable the first time")?;
    std::fs::remove_dir_all(home.join("build"))
        .context("cannot remove the build folder of cargo-deny")?;
    terminal::note(&format!(
        "built cargo-deny in {:.0} s",
        started.elapsed().as_secs_f64()
    ));
    Ok(program)
}
