//! How soon a line is seen by who follows a log, and what a torrent costs.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use foreshore_model::clock;
use futures::{AsyncBufReadExt, AsyncReadExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;

use super::Amount;
use super::numbers::{memory_mib, percentile, tell};
use super::stage::{LIMIT, Stage};

const LINES: usize = 200;
const PAUSE: Duration = Duration::from_millis(10);
/// How long lines come at full speed.
const TORRENT: Duration = Duration::from_secs(5);

/// Tells the time, over and over.
pub(crate) fn clock() -> Result<()> {
    let mut out = std::io::stdout();
    loop {
        writeln!(out, "{}", clock::now().as_nanosecond())?;
        out.flush()?;
        std::thread::sleep(PAUSE);
    }
}

/// Writes lines as fast as somebody reads them.
pub(crate) fn flood() -> Result<()> {
    let lines = "a line of an ordinary length, as a service writes for a request\n".repeat(512);
    let mut out = std::io::stdout();
    loop {
        out.write_all(lines.as_bytes())?;
    }
}

pub(crate) async fn measure(stage: &mut Stage, amount: Amount) -> Result<()> {
    let follow = LogParams {
        follow: true,
        ..LogParams::default()
    };
    let mut late = Vec::new();
    for round in 0..amount.rounds {
        let name = format!("clock-{round}");
        stage.create_pod(&name, &["clock"], |_| {}).await?;
        stage.until_ready(&name).await?;
        let stream = stage.api::<Pod>().log_stream(&name, &follow).await?;
        let mut lines = stream.lines();
        let mut delays = Vec::new();
        while delays.len() < LINES {
            let line = tokio::time::timeout(LIMIT, lines.try_next()).await??;
            let now = clock::now().as_nanosecond();
            let told: i128 = line.context("a followed log goes on")?.parse()?;
            let milliseconds = u32::try_from((now - told) / 1000).unwrap_or(u32::MAX);
            delays.push(f64::from(milliseconds) / 1000.0);
        }
        // What was written before anybody listened is not late.
        late.push(percentile(&mut delays[LINES / 10..], 0.99));
        stage.remove_pods().await?;
    }
    tell("log line to `logs -f`, p99", "ms", &late);

    let (mut shims, mut grown, mut speed) = (vec![], vec![], vec![]);
    for round in 0..amount.rounds {
        let agent = stage.node()?;
        let name = format!("flood-{round}");
        stage.create_pod(&name, &["flood"], |_| {}).await?;
        let pod = stage.until_ready(&name).await?;
        let before = memory_mib(agent, "status", "VmRSS:")?;
        let mut stream = stage.api::<Pod>().log_stream(&name, &follow).await?;
        let (began, mut bytes, mut chunk) = (Instant::now(), 0_u32, vec![0; 64 * 1024]);
        while began.elapsed() < TORRENT {
            let read = tokio::time::timeout(LIMIT, stream.read(&mut chunk)).await??;
            bytes = bytes.saturating_add(u32::try_from(read)?);
        }
        let (shim, _) = stage.processes(&pod)?;
        shims.push(memory_mib(shim, "status", "VmHWM:")?);
        grown.push(memory_mib(agent, "status", "VmRSS:")? - before);
        speed.push(f64::from(bytes) / began.elapsed().as_secs_f64() / 1024.0 / 1024.0);
        drop(stream);
        stage.remove_pods().await?;
    }
    tell(
        "shim of a pod that logs at full speed: peak memory",
        "MiB",
        &shims,
    );
    tell(
        "agent while it passes such a log on: growth of memory",
        "MiB",
        &grown,
    );
    tell("such a log as a follower gets it", "MiB/s", &speed);
    Ok(())
}
