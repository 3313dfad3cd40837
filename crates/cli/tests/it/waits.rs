//! Following a release: what is told on the way, and how each end is told from the others.

use anyhow::{Context as _, Result, ensure};
use foreshore_model::outcome::Cause;
use foreshore_model::{Outcome, Phase, Verdict, clock};
use serde_json::Value;

use crate::served::Served;
use crate::stage::said;

const WAIT: [&str; 4] = ["wait", "web", "-e", "dev"];

fn crash(outcome: &mut Outcome) {
    outcome.causes = ["Pod/web-1", "Pod/web-2"]
        .map(|pod| Cause {
            object: pod.to_owned(),
            container: Some("app".to_owned()),
            reason: "CrashLoopBackOff".to_owned(),
            message: "back-off 10s".to_owned(),
            exit_code: Some(3),
            log: vec!["cannot open the database".to_owned()],
        })
        .to_vec();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_that_becomes_healthy_ends_with_0() -> Result<()> {
    let served = Served::start("wait-healthy").await?;
    let release = served.in_dev("web", 1).await?;
    let (waited, told) = tokio::join!(served.stage.foreshore(&WAIT), async {
        served.report(&release, Phase::Progressing, |_| {}).await?;
        served.report(&release, Phase::Healthy, |_| {}).await
    });
    told?;
    said(
        &waited?,
        0,
        &["dev/web commit: number 1", "web in dev is healthy"],
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_that_fails_ends_with_1_and_tells_the_pods_and_their_last_lines() -> Result<()> {
    let served = Served::start("wait-failed").await?;
    let release = served.in_dev("web", 1).await?;
    served.report(&release, Phase::Failed, crash).await?;
    said(
        &served.stage.foreshore(&WAIT).await?,
        1,
        &[
            "local rollout: failed",
            "Pod/web-1 and 1 more container app: CrashLoopBackOff (exit code 3)",
            "    | cannot open the database",
            "hint: bring back what ran before: `foreshore rollback web -e dev`",
        ],
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_that_breaks_ends_with_1_and_names_the_check() -> Result<()> {
    let served = Served::start("wait-gate").await?;
    let release = served.in_dev("web", 1).await?;
    let verdict = Verdict {
        check: "front".to_owned(),
        artifact: release.artifact.clone(),
        environment: release.environment.clone(),
        tree: String::new(),
        passed: false,
        unknown: false,
        gate: true,
        summary: "2 of 3 answers were 500".to_owned(),
        at: clock::now(),
    };
    let gate = |outcome: &mut Outcome| outcome.verdicts = vec![verdict];
    served.report(&release, Phase::Healthy, gate).await?;
    said(
        &served.stage.foreshore(&WAIT).await?,
        1,
        &[
            "check front failed in dev: 2 of 3 answers were 500",
            "runs and did not pass its checks",
        ],
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_that_another_replaces_ends_with_5_and_names_it() -> Result<()> {
    let served = Served::start("wait-superseded").await?;
    served.in_dev("web", 1).await?;
    served.in_dev("web", 2).await?;
    let first = [&WAIT[..], &["--number", "1"]].concat();
    said(
        &served.stage.foreshore(&first).await?,
        5,
        &["was superseded by number 2", "by foreshore"],
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_that_is_over_ends_with_8_and_says_who_is_silent() -> Result<()> {
    let served = Served::start("wait-late").await?;
    served.in_dev("web", 1).await?;
    let hasty = [&WAIT[..], &["--timeout", "1s"]].concat();
    said(
        &served.stage.foreshore(&hasty).await?,
        8,
        &[
            "no agent of dev has reported since the server started",
            "the work goes on",
            "hint: follow it with `foreshore status --wait`",
        ],
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_that_a_rule_refuses_ends_with_3() -> Result<()> {
    let served = Served::start("wait-refused").await?;
    let release = served.in_dev("web", 1).await?;
    served.report(&release, Phase::Healthy, |_| {}).await?;
    let freeze = [
        "freeze",
        "add",
        "stop",
        "-e",
        "prod",
        "--from",
        "2020-01-01T00:00",
        "--until",
        "2999-01-01T00:00",
        "--reason",
        "inventory",
    ];
    said(&served.stage.foreshore(&freeze).await?, 0, &[])?;
    let promote = ["promote", "web", "-e", "prod", "--wait", "--reason", "now"];
    said(&served.stage.foreshore(&promote).await?, 3, &["inventory"])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_that_has_not_spoken_is_waited_for() -> Result<()> {
    let served = Served::start("wait-sites").await?;
    let release = served.in_dev("web", 1).await?;
    // A site that the environment does not name reports first.
    let elsewhere =
        |outcome: &mut Outcome| outcome.site = "dc2".parse().expect("it is a DNS label");
    served.report(&release, Phase::Healthy, elsewhere).await?;
    let hasty = [&WAIT[..], &["--timeout", "1s"]].concat();
    let answer = served.stage.foreshore(&hasty).await?;
    said(
        &answer,
        8,
        &["local agent: no word", "dc2 rollout: healthy"],
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_get_one_json_document_a_line() -> Result<()> {
    let served = Served::start("wait-json").await?;
    let release = served.in_dev("web", 1).await?;
    served.report(&release, Phase::Failed, crash).await?;
    let json = [&WAIT[..], &["-o", "json"]].concat();
    let answer = served.stage.foreshore(&json).await?;
    ensure!(answer.code == 1, "{}", answer.transcript());
    let lines: Vec<Value> = answer
        .stdout
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let steps: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["step"].as_str())
        .collect();
    ensure!(
        steps == ["commit", "agent", "rollout", "pods"],
        "{}",
        answer.transcript()
    );
    let end = lines.last().context("the end is told")?;
    ensure!(end["event"] == "end" && end["code"] == 1, "{end}");

    served.report(&release, Phase::Healthy, |_| {}).await?;
    let answer = served.stage.foreshore(&json).await?;
    ensure!(answer.code == 0, "{}", answer.transcript());
    let last = answer.stdout.lines().last().context("an answer")?;
    let rows: Value = serde_json::from_str(last)?;
    ensure!(rows[0]["service"] == "web", "{rows}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_terminal_a_table_is_drawn_over_itself() -> Result<()> {
    let served = Served::start("wait-table").await?;
    let release = served.in_dev("web", 1).await?;
    let program = foreshore_testkit::environment::foreshore()?;
    let command = format!("{} wait web -e dev", program.display());
    let screen = tokio::process::Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .env("FORESHORE_DATA", served.stage.data())
        .env("NO_COLOR", "1")
        .stdin(std::process::Stdio::null())
        .output();
    let (screen, told) = tokio::join!(screen, async {
        served.report(&release, Phase::Progressing, |_| {}).await?;
        served.report(&release, Phase::Healthy, |_| {}).await
    });
    told?;
    let screen = screen?;
    let text = String::from_utf8_lossy(&screen.stdout);
    ensure!(screen.status.success(), "{text}");
    for part in ["SERVICE", "\u{1b}[?7l", "rollout", "web in dev is healthy"] {
        ensure!(text.contains(part), "`{part}` is not on the screen: {text}");
    }
    Ok(())
}
