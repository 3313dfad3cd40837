//! A thousand watchers and twenty writes a second: when has each of them read each event?

use anyhow::{Context as _, Result, ensure};

use super::{Bench, Ground, section, sections};
use crate::terminal;

const WATCHERS: &str = "1000";

pub(super) fn measure(bench: &Bench, _: usize) -> Result<()> {
    let (mut ours, mut peers) = (vec![], vec![]);
    for (kind, measured) in [("engine", &mut ours), ("real", &mut peers)] {
        let ground = Ground::launch(bench, kind, &["--api-only"])?;
        for stopped in ["0", "1"] {
            let output = ground
                .command(&bench.programs.join("examples/watchers"))
                .args([ground.kubeconfig(), WATCHERS, stopped])
                .output()
                .context("cannot run `watchers`")?;
            ensure!(
                output.status.success(),
                "`watchers` ended with {}: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
            let text = String::from_utf8_lossy(&output.stdout);
            let p99: f64 = text.trim().parse().context("a figure is a number")?;
            terminal::note(&format!("{kind}, {stopped} stopped: p99 {p99:.1} ms"));
            measured.push(p99);
        }
    }
    sections(
        "write to last byte read by 1,000 watchers, p99",
        "ms",
        &ours[..1],
        &peers[..1],
    )?;
    section(
        "Engine: the same p99 with one watcher that stands still, ratio to without",
        "x",
        &[ours[1] / ours[0]],
    )
}
