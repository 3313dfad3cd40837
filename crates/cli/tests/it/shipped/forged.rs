//! Somebody writes to the config repository what no build made. It is told by name, and what runs stays.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use foreshore_testkit::wait;
use serde_json::Value;

use super::secrets;
use crate::stage::{PATIENCE, Stage, json, page};

const MANIFEST: &str = "environments/dev/shop-site/manifests/deployment-shop-site.yaml";

pub(super) async fn what_is_not_the_artifact_is_not_applied(
    stage: &Stage,
    ingress: &str,
) -> Result<()> {
    let checkout = Checkout::clone(stage)?;
    let text = std::fs::read_to_string(checkout.folder.join(MANIFEST))?;
    let forged = text.replace("runAsUser: 65532", "runAsUser: 65533");
    ensure!(text != forged, "{text}");
    checkout.push(&forged)?;
    is_told(stage, "failed", "ArtifactReplaced").await?;
    let page = page(ingress, "shop-site.localhost").await?;
    ensure!(page.contains("<h1>the site</h1>"), "what ran stays: {page}");
    checkout.push(&text)?;
    is_told(stage, "healthy", "").await
}

/// Waits until the agent says this of the site.
async fn is_told(stage: &Stage, phase: &str, reason: &str) -> Result<()> {
    wait::until(&format!("{phase} {reason}"), PATIENCE, || async {
        let answer = stage.foreshore(&["status", "-o", "json"]).await;
        let Ok(status) = answer.and_then(|answer| json(&answer)) else {
            return false;
        };
        let rows = status["services"].as_array().cloned().unwrap_or_default();
        let outcomes = rows
            .iter()
            .filter(|row| row["service"] == "shop-site" && row["environment"] == "dev")
            .flat_map(|row| row["outcomes"].as_array().cloned().unwrap_or_default());
        outcomes
            .into_iter()
            .any(|outcome| says(&outcome, phase, reason))
    })
    .await
}

fn says(outcome: &Value, phase: &str, reason: &str) -> bool {
    let causes = outcome["causes"].as_array().cloned().unwrap_or_default();
    outcome["phase"] == phase
        && (reason.is_empty() || causes.iter().any(|cause| cause["reason"] == reason))
}

/// The config repository in the hands of somebody who may write to it.
struct Checkout {
    folder: PathBuf,
    header: String,
}

impl Checkout {
    fn clone(stage: &Stage) -> Result<Self> {
        let (server, token) = secrets::owner(stage)?;
        let made = Self {
            folder: stage.folder.join("config"),
            header: format!("http.extraHeader=Authorization: Bearer {token}"),
        };
        let folder = made.folder.display().to_string();
        let url = format!("{server}/git/config.git");
        made.git(
            &["clone", "--quiet", "--branch", "main", &url, &folder],
            false,
        )?;
        Ok(made)
    }

    /// Commits the manifest as given and pushes it.
    fn push(&self, text: &str) -> Result<()> {
        std::fs::write(self.folder.join(MANIFEST), text)?;
        self.git(
            &["commit", "--quiet", "--all", "--message", "by hand"],
            true,
        )?;
        self.git(&["push", "--quiet", "origin", "HEAD:main"], true)
    }

    fn git(&self, words: &[&str], inside: bool) -> Result<()> {
        let mut command = Command::new("git");
        command
            .args(["-c", &self.header])
            .args(["-c", "user.name=Eve", "-c", "user.email=eve@example.org"])
            .args(["-c", "commit.gpgsign=false"])
            .args(words)
            .env("GIT_TERMINAL_PROMPT", "0");
        if inside {
            command.current_dir(&self.folder);
        }
        let output = command.output().context("git runs")?;
        ensure!(
            output.status.success(),
            "git {}: {}",
            words[0],
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }
}
