//! The same pages in a real browser, while everything changes.

use std::path::Path;
use std::process::Stdio;

use serde::Deserialize;
use tokio::process::Command;

use crate::Failure;

/// What `bench.mjs` says.
#[derive(Debug, Deserialize)]
pub(crate) struct Seen {
    pub(crate) paints: Vec<f64>,
    pub(crate) pixels: Vec<f64>,
    pub(crate) heaps: Vec<f64>,
    pub(crate) findings: f64,
}

pub(crate) async fn run(folder: &Path, url: &str, seconds: u64) -> Result<Seen, Failure> {
    let output = Command::new("node")
        .args(["bench.mjs", url, &seconds.to_string()])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()?
        .wait_with_output()
        .await?;
    if !output.status.success() {
        return Err(format!("the browser ended with {}", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
