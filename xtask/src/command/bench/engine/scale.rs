//! Many pods on simulated nodes, and a rolling update of many Deployments, as a watch over TLS sees them.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::{Bench, section};
use crate::terminal;

pub(super) fn measure(bench: &Bench, rounds: usize) -> Result<()> {
    let (seconds, memory) = repeat(bench, &["pods", "50", "100", "100"], rounds)?;
    section(
        "Engine: 5,000 pods of 50 Deployments to Ready on 100 simulated nodes",
        "seconds",
        &seconds,
    )?;
    section(
        "Engine: most memory meanwhile, the watching client included",
        "MiB",
        &memory,
    )?;
    let (seconds, _) = repeat(bench, &["rollout", "80", "3", "10"], rounds)?;
    section(
        "Engine: rolling update of 80 Deployments x 3 replicas, never below the minimum",
        "seconds",
        &seconds,
    )
}

fn repeat(bench: &Bench, arguments: &[&str], rounds: usize) -> Result<(Vec<f64>, Vec<f64>)> {
    let (mut seconds, mut memory) = (vec![], vec![]);
    for round in 1..=rounds {
        let output = Command::new(bench.programs.join("examples/scale"))
            .args(arguments)
            .output()
            .context("cannot run `scale`")?;
        ensure!(
            output.status.success(),
            "`scale` ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let figures: Vec<f64> = text
            .split_whitespace()
            .map(|word| word.parse().context("a figure is a number"))
            .collect::<Result<_>>()?;
        let [took, most] = figures[..] else {
            anyhow::bail!("`scale` printed `{text}`");
        };
        terminal::note(&format!(
            "round {round}, {}: {took:.1} s, {most:.0} MiB",
            arguments.join(" ")
        ));
        seconds.push(took);
        memory.push(most);
    }
    Ok((seconds, memory))
}
