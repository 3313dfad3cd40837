//! Measures the bars of plans, images and registry; one line of JSON for each figure.
//!
//! ```text
//! cargo run --release -p foreshore-plan --example plans -- \
//!     --foreshore target/release/foreshore [--helm PATH] [--shuttle PATH] [--docker-registry PATH] [--rounds N]
//! ```

mod commands;
mod registry;
mod rendering;

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::json;

/// What to measure with.
struct Bench {
    foreshore: Option<PathBuf>,
    helm: Option<PathBuf>,
    shuttle: Option<PathBuf>,
    docker_registry: Option<PathBuf>,
    rounds: usize,
    folder: tempfile::TempDir,
}

impl Bench {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut bench = Self {
            foreshore: None,
            helm: None,
            shuttle: None,
            docker_registry: None,
            rounds: 5,
            folder: tempfile::tempdir()?,
        };
        while let Some(flag) = words.next() {
            let value = words
                .next()
                .with_context(|| format!("{flag} has no value"))?;
            match flag.as_str() {
                "--foreshore" => bench.foreshore = Some(std::path::absolute(value)?),
                "--helm" => bench.helm = Some(std::path::absolute(value)?),
                "--shuttle" => bench.shuttle = Some(std::path::absolute(value)?),
                "--docker-registry" => bench.docker_registry = Some(std::path::absolute(value)?),
                "--rounds" => bench.rounds = value.parse()?,
                other => bail!("there is no flag `{other}`"),
            }
        }
        Ok(bench)
    }

    /// Writes one figure.
    fn tell(name: &str, rounds: &[Duration]) -> Result<()> {
        let rounds: Vec<f64> = rounds
            .iter()
            .map(|round| round.as_secs_f64() * 1000.0)
            .collect();
        let line = json!({"name": name, "unit": "ms", "rounds": rounds});
        writeln!(std::io::stdout(), "{line}")?;
        Ok(())
    }

    /// Says what was not measured, and why.
    fn not_measured(name: &str, why: &str) -> Result<()> {
        let line = json!({"name": name, "not_measured": why});
        writeln!(std::io::stdout(), "{line}")?;
        Ok(())
    }
}

fn main() -> Result<()> {
    let bench = Bench::read(std::env::args().skip(1))?;
    rendering::measure(&bench)?;
    commands::measure(&bench)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(registry::measure(&bench))
}
