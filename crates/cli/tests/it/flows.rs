//! How source gets into environments: by a branch, by a tag, by hand in a hurry; from `git push` on.

use std::net::TcpListener;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use foreshore_server::platform::Record;
use foreshore_server::{Options, Server, credentials};
use foreshore_testkit::cluster::{Cluster, Kind, Options as ClusterOptions, install_crypto};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::stage::{Stage, expect, json, said, text};
use crate::story::grounds::Ground;

/// A service without pods of its own: what is shown here is the way, not the rollout.
const SERVICE: &str = "name: shop-old
owner: shop
plan: external
variables: {host: old.example.org, port: 443}
overrides:
  actions:
    build:
      description: Look around.
      command: [sh, -c, 'test -z \"$FORESHORE_TOKEN\" && echo looked > looked.txt']
environments: {dev: {}, staging: {}, prod: {}}
";

const STAGING: &str = "name: staging\nnamespace: staging\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn source_goes_by_branch_tag_and_hotfix_on_the_engine() -> Result<()> {
    tell(Ground::Engine).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn source_goes_by_branch_tag_and_hotfix_on_a_real_control_plane() -> Result<()> {
    let cluster = Cluster::start(Kind::Real, ClusterOptions::default()).await?;
    // No pods are run, so there is neither a node nor an ingress.
    tell(Ground::Real {
        cluster: Box::new(cluster),
        ingress: ([127, 0, 0, 1], 1).into(),
    })
    .await
}

async fn tell(mut ground: Ground) -> Result<()> {
    let mut stage = Stage::new("flows")?;
    with_staging(&stage).await?;
    ground.up(&mut stage).await?;
    let remote = source_remote(&stage).await?;
    policy(&stage).await?;
    a_branch_goes_to_dev(&stage, &remote).await?;
    a_tag_goes_to_staging_and_by_approval_to_production(&stage, &remote).await?;
    a_hotfix_goes_where_the_rules_let_it(&stage, &remote).await?;
    a_failed_build_is_told_and_releases_nothing(&stage, &remote).await?;
    expect(0, stage.foreshore(&["down"]).await?)?;
    Ok(())
}

/// Makes a config repository that knows `staging` before anything runs from it.
async fn with_staging(stage: &Stage) -> Result<()> {
    install_crypto();
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let shutdown = CancellationToken::new();
    let server = Server::start(Options::new(stage.data(), listener), shutdown.clone()).await?;
    let owner = credentials::read(&stage.data(), "owner").context("the owner has a token")?;
    let host = server.url().trim_start_matches("http://").to_owned();
    let url = format!("http://x:{}@{host}/git/config.git", owner.token);
    let clone = stage.folder.join("config");
    git(stage.folder.path(), &["clone", "--quiet", &url, "config"])?;
    let folder = clone.join("environments/staging");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("environment.yaml"), STAGING)?;
    let prod = clone.join("environments/prod/environment.yaml");
    let rules = std::fs::read_to_string(&prod)?;
    ensure!(rules.contains("promotes_from: dev"), "{rules}");
    std::fs::write(
        prod,
        rules.replace("promotes_from: dev", "promotes_from: staging"),
    )?;
    git(&clone, &["add", "--all"])?;
    git(&clone, &["commit", "--quiet", "-m", "add staging"])?;
    git(&clone, &["push", "--quiet", "origin", "main"])?;
    shutdown.cancel();
    server.wait().await?;
    Ok(())
}

fn git(folder: &Path, arguments: &[&str]) -> Result<String> {
    let output = std::process::Command::new("git")
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org"])
        .args(["-c", "commit.gpgsign=false"])
        .args(arguments)
        .env("GIT_TERMINAL_PROMPT", "0")
        .current_dir(folder)
        .output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "git {arguments:?}: {stderr}");
    Ok(format!("{}{stderr}", String::from_utf8(output.stdout)?))
}

/// Where CI pushes the source, with a token that can do nothing else.
async fn source_remote(stage: &Stage) -> Result<String> {
    let issue = ["token", "issue", "ci-old", "--push", "shop-old"];
    let token = expect(0, stage.foreshore(&issue).await?)?;
    let record = Record::read(&stage.data())?.context("the platform runs")?;
    let host = record.url.trim_start_matches("http://").to_owned();
    let stranger = ["token", "issue", "ci-web", "--push", "web"];
    let stranger = expect(0, stage.foreshore(&stranger).await?)?;

    let checkout = stage.checkout();
    std::fs::create_dir_all(&checkout)?;
    std::fs::write(checkout.join("foreshore.yaml"), SERVICE)?;
    stage.git(&["init", "--quiet", "--initial-branch=main", "."])?;
    stage.commit("the old system")?;
    let url = |token: &str| format!("http://ci:{}@{host}/source/shop-old.git", token.trim());
    let refused = git(
        &checkout,
        &["push", "--quiet", &url(&stranger.stdout), "main"],
    );
    let refused = refused.err().context("a stranger pushed")?.to_string();
    ensure!(refused.contains("403"), "{refused}");
    Ok(url(&token.stdout))
}

async fn policy(stage: &Stage) -> Result<()> {
    let apply = [
        "policy",
        "apply",
        "auto-release",
        "--name",
        "tags-to-staging",
        "-e",
        "staging",
        "--tag",
        "v*",
    ];
    expect(0, stage.foreshore(&apply).await?)?;
    Ok(())
}

/// Pushes and returns the build, once it has ended.
async fn push(stage: &Stage, remote: &str, what: &str, code: i32) -> Result<Value> {
    stage.git(&["push", "--quiet", remote, what])?;
    let wait = ["builds", "shop-old", "--wait", "-o", "json"];
    let answer = expect(code, stage.foreshore(&wait).await?)?;
    let builds: Value = serde_json::from_str(&answer.stdout)?;
    Ok(builds[0].clone())
}

async fn a_branch_goes_to_dev(stage: &Stage, remote: &str) -> Result<()> {
    let build = push(stage, remote, "main", 0).await?;
    ensure!(build["reference"] == "refs/heads/main", "{build}");
    ensure!(build["pushed_by"] == "ci-old", "{build}");
    let wait = ["wait", "shop-old", "-e", "dev"];
    let answer = expect(0, stage.foreshore(&wait).await?)?;
    said(&answer, 0, &[&text(&build, "/artifact")?])?;
    // The same again is nothing new.
    let again = push(stage, remote, "main", 0).await?;
    ensure!(again["id"] == build["id"], "{again}");
    Ok(())
}

async fn a_tag_goes_to_staging_and_by_approval_to_production(
    stage: &Stage,
    remote: &str,
) -> Result<()> {
    stage.git(&["tag", "-a", "-m", "first", "v1.2.3"])?;
    let build = push(stage, remote, "v1.2.3", 0).await?;
    let artifact = text(&build, "/artifact")?;
    let wait = ["wait", "shop-old", "-e", "staging"];
    said(&stage.foreshore(&wait).await?, 0, &[&artifact])?;

    let promote = ["promote", "shop-old", "-e", "prod", "--reason", "tested"];
    let asked = expect(3, stage.foreshore(&promote).await?)?;
    let request = asked.stdout.trim();
    let approve = ["--as", "reviewer", "approve", request, "--wait"];
    said(&stage.foreshore(&approve).await?, 0, &[&artifact])?;

    let describe = ["artifact", "describe", "shop-old", &artifact, "-o", "json"];
    let record = json(&stage.foreshore(&describe).await?)?;
    ensure!(record["source"]["tag"] == "v1.2.3", "{record}");
    let log = format!("/api/v1/builds/{}/log", text(&build, "/id")?);
    ensure!(text(&record, "/ci")?.ends_with(&log), "{record}");
    Ok(())
}

async fn a_hotfix_goes_where_the_rules_let_it(stage: &Stage, remote: &str) -> Result<()> {
    stage.git(&["checkout", "--quiet", "-b", "hotfix/port"])?;
    stage.edit("foreshore.yaml", "port: 443", "port: 8443")?;
    stage.commit("another port")?;
    let build = push(stage, remote, "hotfix/port", 0).await?;
    let release = [
        "release",
        "shop-old",
        "-e",
        "prod",
        "--branch",
        "hotfix/port",
        "--reason",
        "they moved",
    ];
    let asked = expect(3, stage.foreshore(&release).await?)?;
    let approve = ["--as", "reviewer", "approve", asked.stdout.trim(), "--wait"];
    let artifact = text(&build, "/artifact")?;
    said(&stage.foreshore(&approve).await?, 0, &[&artifact])?;
    // Nobody asked for it in dev.
    let status = ["status", "shop-old", "-e", "dev", "-o", "json"];
    let status = json(&stage.foreshore(&status).await?)?;
    let in_dev = text(&status, "/services/0/release/artifact_id")?;
    ensure!(in_dev != artifact, "{status}");
    Ok(())
}

async fn a_failed_build_is_told_and_releases_nothing(stage: &Stage, remote: &str) -> Result<()> {
    stage.git(&["checkout", "--quiet", "main"])?;
    stage.edit(
        "foreshore.yaml",
        "echo looked",
        "echo no good; exit 3; echo",
    )?;
    stage.commit("break the build")?;
    let build = push(stage, remote, "main", 1).await?;
    ensure!(build["state"] == "failed", "{build}");
    let id = text(&build, "/id")?;
    let log = ["builds", "--log", &id];
    said(&stage.foreshore(&log).await?, 0, &["no good"])?;
    let failed = format!("build {id} of shop-old (heads/main): failed: ");
    said(&stage.foreshore(&["status"]).await?, 0, &[&failed])?;
    said(
        &stage.foreshore(&["builds", "--log", "b99"]).await?,
        6,
        &["there is no build `b99`"],
    )
}
