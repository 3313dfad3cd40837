//! Checks of a release, from the service's file to the promotion that they allow or keep back.

use anyhow::{Context as _, Result, ensure};
use foreshore_testkit::cli::Answer;
use foreshore_testkit::cluster::install_crypto;
use serde_json::Value;

use crate::stage::{Stage, json, said, text};

const CHECKS: &str = "\
checks:
  - file: checks/front.scn
    gate: true
  - name: door
    outside: true
    scenario: |
      scenario \"door\"
      target base = env TARGET_URL
      step info GET {{base}}/info
";

const FRONT: &str = "\
scenario \"front\"
target base = env TARGET_URL
value version = env EXPECTED_VERSION
data paths = csv \"paths.csv\" shared

step info GET {{base}}/{{paths.path}}
  assert json $.service == \"web\"
  assert json $.version == \"{{version}}\"
";

fn expect(code: i32, answer: Answer, parts: &[&str]) -> Result<Answer> {
    said(&answer, code, parts)?;
    Ok(answer)
}

async fn build(stage: &Stage) -> Result<Answer> {
    stage
        .foreshore(&["run", "build", "-C", "checkout/apps/web"])
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_is_checked_and_its_verdicts_decide_about_the_promotion() -> Result<()> {
    let mut stage = Stage::new("gates")?;
    stage.check_out()?;
    let web = stage.checkout().join("apps/web");
    let file = web.join("foreshore.yaml");
    let text = std::fs::read_to_string(&file)?;
    std::fs::write(&file, format!("{text}{CHECKS}"))?;
    std::fs::create_dir_all(web.join("checks"))?;
    std::fs::write(web.join("checks/front.scn"), FRONT)?;
    std::fs::write(web.join("checks/paths.csv"), "path\ninfo\n")?;
    stage.commit("check the front")?;
    let up = stage
        .up(&["--port", "0", "--ingress-port", "0", "--api-port", "0"])
        .await?;

    a_check_that_cannot_run_after_a_rollout_stops_the_build(&stage).await?;
    verdicts_are_made_and_let_the_artifact_pass(&stage).await?;
    a_load_is_seen_on_a_page_and_knows_the_pods_of_its_target(&stage, &up).await?;
    a_failing_gate_keeps_it_back(&stage).await?;
    expect(0, stage.foreshore(&["down"]).await?, &[])?;
    Ok(())
}

async fn a_check_that_cannot_run_after_a_rollout_stops_the_build(stage: &Stage) -> Result<()> {
    let front = "apps/web/checks/front.scn";
    stage.edit(front, "EXPECTED_VERSION", "MY_VERSION")?;
    expect(
        2,
        build(stage).await?,
        &["check `front`", "MY_VERSION", "EXPECTED_VERSION"],
    )?;
    stage.edit(front, "MY_VERSION", "EXPECTED_VERSION")
}

async fn verdicts_are_made_and_let_the_artifact_pass(stage: &Stage) -> Result<()> {
    expect(0, build(stage).await?, &[])?;
    let waited = stage
        .foreshore(&["status", "web", "-e", "dev", "--wait"])
        .await?;
    expect(
        0,
        waited,
        &[
            "check contract passed in dev",
            "check front passed in dev",
            "check door passed in dev",
        ],
    )?;
    let described = stage
        .foreshore(&["describe", "release", "web", "-e", "dev", "-o", "json"])
        .await?;
    let detail = json(&described)?;
    let release = &detail[0]["release"];
    for check in ["contract", "front", "door"] {
        let verdict = verdict(&detail[0], check)?;
        ensure!(verdict["passed"] == true, "{verdict}");
        ensure!(verdict["artifact"] == release["artifact"], "{verdict}");
        ensure!(
            verdict["tree"]
                .as_str()
                .is_some_and(|tree| tree.len() >= 40),
            "a verdict is about these very bytes: {verdict}"
        );
    }
    let asked = stage
        .foreshore(&["promote", "web", "-e", "prod", "--reason", "checked"])
        .await?;
    let request = expect(3, asked, &["foreshore approve"])?;
    let approve = [
        "--as",
        "reviewer",
        "approve",
        request.stdout.trim(),
        "--wait",
    ];
    expect(
        0,
        stage.foreshore(&approve).await?,
        &["check front passed in prod"],
    )?;
    Ok(())
}

fn verdict<'a>(detail: &'a Value, check: &str) -> Result<&'a Value> {
    let verdicts = detail["verdicts"]
        .as_array()
        .context("there are verdicts")?;
    verdicts
        .iter()
        .find(|verdict| verdict["check"] == check)
        .with_context(|| format!("no verdict of {check} in {detail}"))
}

async fn a_load_is_seen_on_a_page_and_knows_the_pods_of_its_target(
    stage: &Stage,
    up: &Value,
) -> Result<()> {
    let scenario = "scenario \"busy\"\ntarget base = env URL\nstep info GET {{base}}/info\nprofile p arrivals 20/s for 4s gate lateness.p99 < 1h starved <= 100%\n";
    std::fs::write(stage.folder.join("busy.scn"), scenario)?;
    let port = text(up, "/ingress")?
        .rsplit_once(':')
        .context("the ingress has a port")?
        .1
        .to_owned();
    let target = format!("base=http://web.dev.localhost:{port}");
    let load = [
        "load",
        "busy.scn",
        "--profile",
        "p",
        "--target",
        &target,
        "--target-service",
        "dev/web",
        "--report",
        "out",
    ];
    let answer = expect(0, stage.foreshore(&load).await?, &["verdict: pass"])?;
    let page = answer
        .stderr
        .lines()
        .find_map(|line| line.split_once("watch it: "))
        .with_context(|| format!("no page was named: {}", answer.transcript()))?
        .1
        .to_owned();
    install_crypto();
    let page = reqwest::get(&page)
        .await?
        .error_for_status()?
        .text()
        .await?;
    for shown in ["busy · p", ">pass</span>", "<dd>80</dd>", "by owner"] {
        ensure!(page.contains(shown), "`{shown}` is not on the page: {page}");
    }
    let report = std::fs::read_to_string(stage.folder.join("out/report.json"))?;
    let report: Value = serde_json::from_str(&report)?;
    let samples = report.pointer("/target/samples").and_then(Value::as_array);
    ensure!(
        samples.is_some_and(|samples| samples.iter().any(|sample| sample["pods"] == 1)),
        "{}",
        report["target"]
    );
    Ok(())
}

async fn a_failing_gate_keeps_it_back(stage: &Stage) -> Result<()> {
    stage.edit(
        "apps/web/checks/front.scn",
        "$.service == \"web\"",
        "$.service == \"shop\"",
    )?;
    stage.commit("expect another name")?;
    expect(0, build(stage).await?, &[])?;
    let waited = stage
        .foreshore(&["status", "web", "-e", "dev", "--wait"])
        .await?;
    expect(
        1,
        waited,
        &["did not pass its checks: front failed in dev", "shop"],
    )?;
    let described = stage
        .foreshore(&["describe", "release", "web", "-e", "dev"])
        .await?;
    expect(
        0,
        described,
        &[
            "check      contract passed in dev",
            "check      front failed in dev",
            "(gate)",
        ],
    )?;
    let refused = stage
        .foreshore(&["promote", "web", "-e", "prod", "--reason", "anyway"])
        .await?;
    expect(
        3,
        refused,
        &[
            "check `front` failed in `dev`",
            "shop",
            "foreshore explain release web -e prod",
        ],
    )?;
    Ok(())
}
