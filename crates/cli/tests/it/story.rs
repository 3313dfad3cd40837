//! The story of the README, from a service's source to healthy pods in production, on every ground.

pub(crate) mod grounds;

use anyhow::{Context as _, Result, ensure};
use foreshore_testkit::cli::Answer;
use foreshore_testkit::cluster::no_kubelet_because;
use foreshore_testkit::{environment, wait};
use serde_json::Value;

use self::grounds::Ground;
use crate::stage::{PATIENCE, Stage, expect, json, leftovers, page, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_goes_from_source_to_production_and_back_on_the_engine() -> Result<()> {
    tell(Ground::Engine).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_goes_from_source_to_production_and_back_on_a_real_control_plane() -> Result<()> {
    tell(Ground::real().await?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_goes_from_source_to_production_and_back_on_the_real_kubelet() -> Result<()> {
    if let Some(reason) = no_kubelet_because() {
        environment::not_run("the story on the real kubelet", &reason);
        return Ok(());
    }
    tell(Ground::kubelet().await?).await
}

async fn tell(mut ground: Ground) -> Result<()> {
    let mut stage = Stage::new("story")?;
    stage.check_out()?;
    let ingress = ground.up(&mut stage).await?;
    a_service_file_is_proposed(&stage).await?;
    let tokens = Tokens::issue(&stage).await?;
    source_becomes_healthy_pods_in_dev(&stage, &tokens, &ingress).await?;
    a_ci_token_can_do_nothing_else(&stage, &tokens).await?;
    production_takes_the_same_bytes_after_approval(&stage, &ingress).await?;
    a_broken_version_is_explained_and_rolled_back(&stage, &tokens, &ingress).await?;
    the_config_repository_tells_who_what_and_why(&stage)?;
    down_leaves_nothing_and_up_continues(&mut stage, &mut ground).await
}

struct Tokens {
    api: String,
    web: String,
}

impl Tokens {
    async fn issue(stage: &Stage) -> Result<Self> {
        let mut tokens = Vec::new();
        for service in ["api", "web"] {
            let answer = expect(
                0,
                stage
                    .foreshore(&[
                        "token",
                        "issue",
                        &format!("ci-{service}"),
                        "--push",
                        service,
                    ])
                    .await?,
            )?;
            tokens.push(answer.stdout.trim().to_owned());
        }
        let [api, web] = tokens.try_into().ok().context("two tokens were issued")?;
        Ok(Self { api, web })
    }
}

fn expect_said(answer: &Answer, part: &str) -> Result<()> {
    ensure!(
        answer.stderr.contains(part) || answer.stdout.contains(part),
        "`{part}` was not said: {}",
        answer.transcript()
    );
    Ok(())
}

async fn a_service_file_is_proposed(stage: &Stage) -> Result<()> {
    let file = stage.checkout().join("apps/web/foreshore.yaml");
    let kept = std::fs::read_to_string(&file)?;
    let refused = expect(2, stage.foreshore(&["init", "checkout/apps/web"]).await?)?;
    expect_said(&refused, "is there already")?;
    std::fs::remove_file(&file)?;
    let answer = expect(
        0,
        stage
            .foreshore(&["init", "checkout/apps/web", "--owner", "shop"])
            .await?,
    )?;
    expect_said(&answer, "Cargo.toml [package] name")?;
    let proposed = std::fs::read_to_string(&file)?;
    ensure!(
        proposed.contains("name: web") && proposed.contains("owner: shop"),
        "{proposed}"
    );
    std::fs::write(file, kept)?;
    Ok(())
}

async fn build(stage: &Stage, service: &str, token: &str) -> Result<Value> {
    let directory = format!("checkout/apps/{service}");
    json(
        &stage
            .with_token(token, &["run", "build", "-C", &directory, "-o", "json"])
            .await?,
    )
}

async fn source_becomes_healthy_pods_in_dev(
    stage: &Stage,
    tokens: &Tokens,
    ingress: &str,
) -> Result<()> {
    for (service, token) in [("api", &tokens.api), ("web", &tokens.web)] {
        let built = build(stage, service, token).await?;
        ensure!(
            built.pointer("/released/0/environment") == Some(&"dev".into()),
            "{built}"
        );
        ensure!(built["reused"] == false, "{built}");
    }
    let again = build(stage, "web", &tokens.web).await?;
    ensure!(
        again["reused"] == true,
        "a second build of the same is the same artifact: {again}"
    );
    expect(
        0,
        stage.foreshore(&["status", "--wait", "-e", "dev"]).await?,
    )?;
    let first = page(ingress, "web.dev.localhost").await?;
    ensure!(first.contains("visit number"), "{first}");
    Ok(())
}

async fn a_ci_token_can_do_nothing_else(stage: &Stage, tokens: &Tokens) -> Result<()> {
    for arguments in [
        &["promote", "web", "-e", "prod"][..],
        &["rollback", "web", "-e", "dev"],
        &["hold", "web", "-e", "dev", "--reason", "x"],
        &["status"],
        &["token", "issue", "mine", "--push", "api"],
    ] {
        let answer = expect(3, stage.with_token(&tokens.web, arguments).await?)?;
        expect_said(&answer, "`ci-web` may not")?;
    }
    let foreign = stage
        .with_token(&tokens.web, &["run", "build", "-C", "checkout/apps/api"])
        .await?;
    ensure!(foreign.code == 3, "{}", foreign.transcript());
    Ok(())
}

async fn production_takes_the_same_bytes_after_approval(
    stage: &Stage,
    ingress: &str,
) -> Result<()> {
    for service in ["api", "web"] {
        let asked = expect(
            3,
            stage
                .foreshore(&[
                    "promote",
                    service,
                    "-e",
                    "prod",
                    "--reason",
                    "ready for users",
                ])
                .await?,
        )?;
        let request = asked.stdout.trim();
        expect_said(&asked, &format!("foreshore approve {request}"))?;
        let own = expect(3, stage.foreshore(&["approve", request]).await?)?;
        expect_said(&own, "another person must approve it")?;
        expect(
            0,
            stage
                .foreshore(&["--as", "reviewer", "approve", request, "--wait"])
                .await?,
        )?;
    }
    let status = json(&stage.foreshore(&["status", "-o", "json"]).await?)?;
    for service in ["api", "web"] {
        ensure!(
            artifact(&status, service, "dev")? == artifact(&status, service, "prod")?,
            "{status}"
        );
    }
    let page = page(ingress, "web.prod.localhost").await?;
    ensure!(page.contains("visit number"), "{page}");
    Ok(())
}

fn artifact(status: &Value, service: &str, environment: &str) -> Result<String> {
    let rows = status["services"]
        .as_array()
        .context("the status lists services")?;
    let row = rows
        .iter()
        .find(|row| row["service"] == service && row["environment"] == environment);
    text(
        row.with_context(|| format!("no row for {service} in {environment}"))?,
        "/release/artifact",
    )
}

async fn a_broken_version_is_explained_and_rolled_back(
    stage: &Stage,
    tokens: &Tokens,
    ingress: &str,
) -> Result<()> {
    let status = json(&stage.foreshore(&["status", "-o", "json"]).await?)?;
    let good = artifact(&status, "api", "dev")?;
    stage.edit(
        "apps/api/foreshore.yaml",
        "sqlite:///state/api.db",
        "sqlite:///nowhere/api.db",
    )?;
    stage.commit("keep the database elsewhere")?;
    build(stage, "api", &tokens.api).await?;

    let failed = expect(
        1,
        stage
            .foreshore(&["status", "api", "-e", "dev", "--wait"])
            .await?,
    )?;
    for part in [
        "container api",
        "exit code 1",
        "cannot open the database `/nowhere/api.db`",
        "foreshore rollback api -e dev",
    ] {
        expect_said(&failed, part)?;
    }
    expect(
        0,
        stage
            .foreshore(&[
                "rollback",
                "api",
                "-e",
                "dev",
                "--reason",
                "database path is wrong",
                "--wait",
            ])
            .await?,
    )?;
    let status = json(&stage.foreshore(&["status", "-o", "json"]).await?)?;
    ensure!(
        artifact(&status, "api", "dev")? == good,
        "the old bytes are back: {status}"
    );
    page(ingress, "web.dev.localhost").await?;

    stage.edit(
        "apps/api/foreshore.yaml",
        "sqlite:///nowhere/api.db",
        "sqlite:///state/api.db",
    )?;
    stage.commit("keep the database where it was")?;
    let built = build(stage, "api", &tokens.api).await?;
    ensure!(
        text(&built, "/withheld/0/reason")?.contains("database path is wrong"),
        "automation is held: {built}"
    );
    expect(
        0,
        stage
            .foreshore(&["hold", "api", "-e", "dev", "--lift"])
            .await?,
    )?;
    expect(
        0,
        stage
            .foreshore(&["release", "api", "-e", "dev", "--branch", "main", "--wait"])
            .await?,
    )?;
    Ok(())
}

fn the_config_repository_tells_who_what_and_why(stage: &Stage) -> Result<()> {
    let owner = std::fs::read_to_string(stage.data().join("credentials/owner.json"))?;
    let owner: Value = serde_json::from_str(&owner)?;
    let header = format!(
        "http.extraHeader=Authorization: Bearer {}",
        text(&owner, "/token")?
    );
    let url = format!("{}/git/config.git", text(&owner, "/server")?);
    stage.git(&["-c", &header, "clone", "--quiet", &url, "../config"])?;
    let log = stage.git(&["-C", "../config", "log", "--format=%an%n%B"])?;
    for part in [
        "[dev/web] auto-release main-",
        "[prod/web] promote main-",
        "Reason: ready for users",
        "Approved-By: reviewer <",
        "[dev/api] rollback main-",
        "Reason: database path is wrong",
        "lift the hold of api by owner",
    ] {
        ensure!(log.contains(part), "`{part}` is not in the log:\n{log}");
    }
    let manifests = stage
        .checkout()
        .join("../config/environments/prod/web/manifests");
    ensure!(
        manifests.join("deployment-web.yaml").is_file(),
        "production's bytes are plain files"
    );
    stage.git(&["-C", "../config", "fsck", "--strict"])?;
    Ok(())
}

async fn down_leaves_nothing_and_up_continues(
    stage: &mut Stage,
    ground: &mut Ground,
) -> Result<()> {
    let before = json(&stage.foreshore(&["status", "-o", "json"]).await?)?;
    expect(0, stage.foreshore(&["down"]).await?)?;
    let data = stage.data();
    wait::until("nothing of the platform to be left", PATIENCE, || async {
        leftovers(&data).is_empty()
    })
    .await?;
    let refused = expect(4, stage.foreshore(&["status"]).await?)?;
    expect_said(&refused, "foreshore up")?;

    let ingress = ground.up(stage).await?;
    expect(0, stage.foreshore(&["status", "--wait"]).await?)?;
    let after = json(&stage.foreshore(&["status", "-o", "json"]).await?)?;
    for (service, environment) in [
        ("api", "dev"),
        ("web", "dev"),
        ("api", "prod"),
        ("web", "prod"),
    ] {
        ensure!(
            artifact(&before, service, environment)? == artifact(&after, service, environment)?
        );
    }
    for host in ["web.dev.localhost", "web.prod.localhost"] {
        page(&ingress, host).await?;
    }
    expect(0, stage.foreshore(&["down"]).await?)?;
    wait::until("nothing of the platform to be left", PATIENCE, || async {
        leftovers(&data).is_empty()
    })
    .await
}
