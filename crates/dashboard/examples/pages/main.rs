//! Measures the pages over many pods: `pages SERVICES REPLICAS SECONDS BROWSER`.
//!
//! An engine with simulated nodes and a server that watches it are processes of
//! their own, `FORESHORE_BIN`; this one is the load: fifty viewers, 200 changes
//! a second, and a browser, whose scripts are in the folder BROWSER. Prints a
//! line of JSON for each figure.

#![expect(clippy::print_stdout, reason = "the figures are its answer")]

mod browser;
mod churn;
mod ground;
mod viewers;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use ground::Ground;

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What is asked for on the command line.
pub(crate) struct Size {
    pub(crate) services: usize,
    pub(crate) replicas: usize,
    pub(crate) seconds: u64,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [services, replicas, seconds, folder] = arguments.as_slice() else {
        return Err("usage: pages SERVICES REPLICAS SECONDS BROWSER".into());
    };
    let size = Size {
        services: services.parse()?,
        replicas: replicas.parse()?,
        seconds: seconds.parse()?,
    };
    let ground = Ground::start(&size).await?;
    tell("memory with everything listed", "MiB", &[ground.memory()?]);
    sizes(&ground).await?;
    let stop = CancellationToken::new();
    let changes = tokio::spawn(churn::run(ground.kube.clone(), stop.clone()));
    let viewers = viewers::run(&ground.url, Duration::from_secs(size.seconds.min(60))).await?;
    tell(
        "pods page, server time p50, 50 viewers",
        "ms",
        &[viewers.p50],
    );
    tell(
        "pods page, server time p95, 50 viewers",
        "ms",
        &[viewers.p95],
    );
    tell("memory with 50 viewers", "MiB", &[ground.memory()?]);
    let seen = browser::run(&PathBuf::from(folder), &ground.url, size.seconds).await?;
    stop.cancel();
    let rate = changes.await??;
    tell("changes carried out", "1/s", &[rate]);
    let percentile = |values: &[f64], share| viewers::percentile(values.to_vec(), share);
    tell(
        "first contentful paint p95",
        "ms",
        &[percentile(&seen.paints, 0.95)],
    );
    tell(
        "change to pixel p50",
        "ms",
        &[percentile(&seen.pixels, 0.5)],
    );
    tell(
        "change to pixel p99",
        "ms",
        &[percentile(&seen.pixels, 0.99)],
    );
    tell(
        &format!("tab heap over {} s of changes", size.seconds),
        "MiB",
        &seen.heaps,
    );
    tell("serious findings of axe", "findings", &[seen.findings]);
    tell("memory at the end", "MiB", &[ground.memory()?]);
    Ok(())
}

fn tell(name: &str, unit: &str, rounds: &[f64]) {
    println!("{}", json!({"name": name, "unit": unit, "rounds": rounds}));
}

/// What a browser is sent, compressed.
async fn sizes(ground: &Ground) -> Result<(), Failure> {
    let page = ground.zipped("/pods").await?;
    tell("pods page of 100 rows, gzip", "KB", &[kilobytes(page)]);
    let text = ground.text("/pods").await?;
    let mut assets = 0;
    for (before, after) in [
        ("rel=stylesheet href=\"", '"'),
        ("<script defer src=\"", '"'),
    ] {
        let (_, rest) = text.split_once(before).ok_or("the page has no assets")?;
        let (path, _) = rest.split_once(after).ok_or("an address ends")?;
        assets += ground.zipped(path).await?;
    }
    tell("CSS and JavaScript, gzip", "KB", &[kilobytes(assets)]);
    Ok(())
}

fn kilobytes(bytes: usize) -> f64 {
    f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)) / 1000.0
}
