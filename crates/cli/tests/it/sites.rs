//! Production on two sites: a release goes to both, the dashboard shows both, and `down` takes both away.

use anyhow::{Context as _, Result, ensure};
use foreshore_testkit::cluster::install_crypto;
use foreshore_testkit::wait;
use serde_json::Value;

use crate::stage::{PATIENCE, Stage, expect, json, leftovers, said, text};

const ANY_PORTS: [&str; 6] = ["--port", "0", "--ingress-port", "0", "--api-port", "0"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_goes_to_both_sites_of_production_and_the_dashboard_shows_both() -> Result<()> {
    let mut stage = Stage::new("sites")?;
    stage.check_out()?;
    let two = [&ANY_PORTS[..], &["--sites", "2"]].concat();
    let up = stage.up(&two).await?;
    ensure!(text(&up, "/ground")?.contains("two sites"), "{up}");
    let build = ["run", "build", "-C", "checkout/apps/api", "--wait"];
    expect(0, stage.foreshore(&build).await?)?;
    let promote = ["promote", "api", "-e", "prod", "--reason", "ready"];
    let asked = expect(3, stage.foreshore(&promote).await?)?;
    let approve = ["--as", "reviewer", "approve", asked.stdout.trim(), "--wait"];
    expect(0, stage.foreshore(&approve).await?)?;
    is_healthy_on(&stage, "prod", &["local", "second"]).await?;
    is_healthy_on(&stage, "dev", &["local"]).await?;
    shows_both(&text(&up, "/url")?).await?;

    expect(0, stage.foreshore(&["down"]).await?)?;
    nothing_is_left(&stage).await?;
    // As many sites as before, without being asked.
    let up = stage.up(&ANY_PORTS).await?;
    ensure!(text(&up, "/ground")?.contains("two sites"), "{up}");
    expect(0, stage.foreshore(&["status", "--wait"]).await?)?;
    is_healthy_on(&stage, "prod", &["local", "second"]).await?;
    expect(0, stage.foreshore(&["down"]).await?)?;
    nothing_is_left(&stage).await?;

    let refused = stage.foreshore(&["up", "--sites", "3"]).await?;
    said(&refused, 2, &["--sites"])
}

async fn nothing_is_left(stage: &Stage) -> Result<()> {
    let data = stage.data();
    wait::until("nothing of two sites to be left", PATIENCE, || async {
        leftovers(&data).is_empty()
    })
    .await
}

/// The release is healthy where it should be, and told of nowhere else.
async fn is_healthy_on(stage: &Stage, environment: &str, sites: &[&str]) -> Result<()> {
    let status = json(&stage.foreshore(&["status", "-o", "json"]).await?)?;
    let rows = status["services"].as_array().context("services")?;
    let row = rows
        .iter()
        .find(|row| row["environment"] == environment)
        .with_context(|| format!("no release in {environment}: {status}"))?;
    let outcomes = row["outcomes"].as_array().context("outcomes")?;
    let mut healthy: Vec<&str> = outcomes
        .iter()
        .filter(|outcome| outcome["phase"] == "healthy")
        .filter_map(|outcome| outcome["site"].as_str())
        .collect();
    healthy.sort_unstable();
    ensure!(healthy == sites && outcomes.len() == sites.len(), "{row}");
    Ok(())
}

async fn shows_both(url: &str) -> Result<()> {
    install_crypto();
    let client = reqwest::Client::builder().timeout(PATIENCE).build()?;
    wait::until(
        "the nodes of both sites on the dashboard",
        PATIENCE,
        || async {
            let answer = client.get(format!("{url}/nodes.json")).send().await;
            let Ok(answer) = answer else { return false };
            let rows: Value = answer.json().await.unwrap_or_default();
            let text = rows.to_string();
            ["local", "second"]
                .iter()
                .all(|site| text.contains(&format!("\"{site}\"")))
        },
    )
    .await
}
