//! Every fault of `foreshore demo`, on a running platform: it shows by its reason, and is mended by what it says.

use anyhow::{Context as _, Result, ensure};
use foreshore_testkit::{environment, wait};
use serde_json::Value;

use crate::stage::{PATIENCE, Stage, expect, json, said};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_shows_by_its_reason_and_is_mended_by_what_it_says() -> Result<()> {
    let mut stage = Stage::new("demo")?;
    stage.check_out()?;
    let up = stage
        .up(&["--port", "0", "--ingress-port", "0", "--api-port", "0"])
        .await?;
    nothing_is_broken_that_does_not_run(&stage).await?;
    let built = stage
        .foreshore(&["run", "build", "-C", "checkout/apps/api", "--wait"])
        .await?;
    expect(0, built)?;
    let good = release(&stage).await?;

    for fault in ["image", "crash", "config", "readiness"] {
        shows(&stage, fault).await?;
        let again = stage.foreshore(&["demo", "break", "crash"]).await?;
        said(&again, 5, &["is broken already", "foreshore demo mend"])?;
        expect(0, stage.foreshore(&["demo", "mend"]).await?)?;
        ensure!(release(&stage).await?["artifact"] == good["artifact"]);
    }
    if limits_memory(&stage).await? {
        shows(&stage, "memory").await?;
        mended_by_hand(&stage).await?;
        ensure!(release(&stage).await?["artifact"] == good["artifact"]);
    } else {
        environment::not_run("the fault `memory`", "this kernel lets us limit no memory");
    }
    for fault in ["database", "node"] {
        shows(&stage, fault).await?;
        expect(0, stage.foreshore(&["demo", "mend"]).await?)?;
    }
    let kubeconfig = up["kubeconfig"].as_str().context("the platform has one")?;
    ensure!(!std::fs::read_to_string(kubeconfig)?.is_empty());
    let nothing = stage.foreshore(&["demo", "mend"]).await?;
    said(&nothing, 0, &["nothing was broken"])?;
    the_audit_trail_tells_it(&stage).await
}

async fn nothing_is_broken_that_does_not_run(stage: &Stage) -> Result<()> {
    let list = stage.foreshore(&["demo", "list", "-o", "json"]).await?;
    let list = json(&list)?;
    let names: Vec<&str> = list
        .as_array()
        .context("a list")?
        .iter()
        .filter_map(|fault| fault["name"].as_str())
        .collect();
    ensure!(names.len() == 7, "{names:?}");
    for fault in ["crash", "node"] {
        let answer = stage.foreshore(&["demo", "break", fault]).await?;
        said(
            &answer,
            6,
            &["has no release in dev", "foreshore run build"],
        )?;
    }
    let unknown = stage.foreshore(&["demo", "break", "imgae"]).await?;
    said(
        &unknown,
        6,
        &["no fault `imgae`", "foreshore demo break image"],
    )
}

/// Breaks it and waits until status names the reason that was promised.
async fn shows(stage: &Stage, fault: &str) -> Result<()> {
    let broken = stage
        .foreshore(&["demo", "break", fault, "-o", "json"])
        .await?;
    let broken = json(&broken)?;
    let reason = broken["shows"].as_str().context("it names the reason")?;
    wait::until(
        &format!("{fault} to show as {reason}"),
        PATIENCE,
        || async {
            reasons(stage)
                .await
                .is_ok_and(|reasons| reasons.iter().any(|known| is_same(known, reason)))
        },
    )
    .await?;
    // The places it sends people to are commands that work.
    for look in broken["look"].as_array().context("it says where to look")? {
        let words: Vec<&str> = look.as_str().unwrap_or_default().split(' ').collect();
        if let ["foreshore", rest @ ..] = words.as_slice() {
            let seen = stage.foreshore(rest).await?;
            // One of them ends with 1 as long as what it shows has failed.
            ensure!(matches!(seen.code, 0 | 1), "{}", seen.transcript());
        }
    }
    Ok(())
}

/// A pull that is tried again later goes on under another name.
fn is_same(found: &str, reason: &str) -> bool {
    found == reason || (reason == "ErrImagePull" && found == "ImagePullBackOff")
}

async fn reasons(stage: &Stage) -> Result<Vec<String>> {
    let status = json(&stage.foreshore(&["status", "-o", "json"]).await?)?;
    let row = row(&status)?;
    let outcomes = row["outcomes"].as_array().context("it has outcomes")?;
    let causes = outcomes
        .iter()
        .filter(|outcome| outcome["sequence"] == row["release"]["sequence"])
        .filter_map(|outcome| outcome["causes"].as_array())
        .flatten();
    Ok(causes
        .filter_map(|cause| Some(cause["reason"].as_str()?.to_owned()))
        .collect())
}

fn row(status: &Value) -> Result<&Value> {
    let mut rows = status["services"].as_array().into_iter().flatten();
    rows.find(|row| row["service"] == "api" && row["environment"] == "dev")
        .context("api has a release in dev")
}

async fn release(stage: &Stage) -> Result<Value> {
    let status = json(&stage.foreshore(&["status", "-o", "json"]).await?)?;
    Ok(row(&status)?["release"].clone())
}

async fn limits_memory(stage: &Stage) -> Result<bool> {
    let doctor = stage.foreshore(&["doctor", "-o", "json"]).await?;
    Ok(doctor.stdout.contains("memory limits"))
}

/// What `demo break` prints for people who want to do it themselves.
async fn mended_by_hand(stage: &Stage) -> Result<()> {
    let back = [
        "rollback", "api", "-e", "dev", "--reason", "memory", "--wait",
    ];
    expect(0, stage.foreshore(&back).await?)?;
    let held = stage.foreshore(&["demo", "break", "crash"]).await?;
    said(
        &held,
        3,
        &["did not take it", "foreshore hold api -e dev --lift"],
    )?;
    let lift = ["hold", "api", "-e", "dev", "--lift"];
    expect(0, stage.foreshore(&lift).await?).map(|_| ())
}

async fn the_audit_trail_tells_it(stage: &Stage) -> Result<()> {
    let audit = stage.foreshore(&["audit", "api", "-e", "dev"]).await?;
    said(&audit, 0, &["auto-release", "rollback", "demo: mended"])
}
