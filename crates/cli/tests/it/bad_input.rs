//! What commands say to input that cannot be right: what, where, why, what next, and the exit code.

use anyhow::{Result, ensure};
use foreshore_testkit::cli::Answer;
use serde_json::Value;

use crate::stage::{Stage, json};

#[track_caller]
pub(crate) fn check(answer: &Answer, code: i32, parts: &[&str]) {
    assert_eq!(answer.code, code, "{}", answer.transcript());
    for part in parts {
        assert!(
            answer.stderr.contains(part),
            "`{part}` was not said: {}",
            answer.transcript()
        );
    }
    assert!(
        answer.stdout.is_empty(),
        "an error leaves standard output empty: {}",
        answer.transcript()
    );
}

#[tokio::test]
async fn commands_that_need_a_server_say_how_to_get_one() -> Result<()> {
    let stage = Stage::new("no-server")?;
    for arguments in [
        &["status"][..],
        &["promote", "web", "-e", "prod"],
        &["release", "web", "-e", "dev", "--branch", "main"],
        &["rollback", "web", "-e", "dev"],
        &["approve", "web-prod-1"],
        &["hold", "web", "-e", "dev", "--lift"],
        &["artifact", "list", "web"],
    ] {
        check(
            &stage.foreshore(arguments).await?,
            4,
            &[
                "error: no platform runs from",
                "hint: start one with `foreshore up`",
            ],
        );
    }
    let gone = ["--server", "http://127.0.0.1:1", "--token", "x", "status"];
    check(
        &stage.foreshore(&gone).await?,
        4,
        &[
            "cannot reach the server `http://127.0.0.1:1`",
            "hint: is it running?",
        ],
    );
    Ok(())
}

#[tokio::test]
async fn names_that_cannot_be_are_refused_before_anything_is_asked() -> Result<()> {
    let stage = Stage::new("names")?;
    check(
        &stage.foreshore(&["promote", "Web", "-e", "prod"]).await?,
        2,
        &["`W` at position 1"],
    );
    check(
        &stage
            .foreshore(&["release", "web", "-e", "dev", "--artifact", "x"])
            .await?,
        2,
        &["is not an artifact id"],
    );
    check(
        &stage.foreshore(&["release", "web", "-e", "dev"]).await?,
        2,
        &["--branch", "--artifact"],
    );
    check(&stage.foreshore(&["stauts"]).await?, 2, &["'status'"]);
    check(
        &stage
            .foreshore(&["status", "--timeout", "5 parsecs"])
            .await?,
        2,
        &["90s"],
    );
    Ok(())
}

#[tokio::test]
async fn a_service_file_is_read_strictly() -> Result<()> {
    let stage = Stage::new("service-file")?;
    let file = stage.folder.join("foreshore.yaml");
    check(
        &stage.foreshore(&["run", "build"]).await?,
        2,
        &[
            "there is no foreshore.yaml and no shuttle.yaml in",
            "hint: write one with `foreshore init`",
        ],
    );
    for (text, parts) in [
        (
            "name: web\nowner: a\nplann: x\n",
            &["foreshore.yaml:3:1:", "plann"][..],
        ),
        (
            "name: Web\nowner: a\nplan: rust-service\nenvironments: {}\n",
            &["`W` at position 1"],
        ),
        ("name: web\nname: api\n", &["foreshore.yaml:2:1:"]),
        ("name: [\n", &["foreshore.yaml:"]),
        (
            "name: web\nowner: a\nplan: rust-servce\nenvironments: {}\n",
            &[
                "did you mean `rust-service`?",
                "is a directory or one of: container, cronjob, external, rust-service",
            ],
        ),
        (
            "name: web\nowner: a\nplan: https://example.org/plan.git\nenvironments: {}\n",
            &[
                "plan `https://example.org/plan.git` is not pinned",
                "foreshore plan update",
            ],
        ),
    ] {
        std::fs::write(&file, text)?;
        check(&stage.foreshore(&["run"]).await?, 2, parts);
    }
    std::fs::write(
        &file,
        "name: web\nowner: a\nplan: rust-service\nports: {http: 8080}\nenvironments: {dev: {}}\n",
    )?;
    check(
        &stage.foreshore(&["run", "biuld"]).await?,
        2,
        &[
            "has no action `biuld`; did you mean `build`?",
            "actions of this plan: build, check, lint, test",
        ],
    );
    check(
        &stage.foreshore(&["run", "build"]).await?,
        2,
        &["is not in a git repository", "git commit"],
    );
    Ok(())
}

#[tokio::test]
async fn init_says_what_it_looked_for() -> Result<()> {
    let stage = Stage::new("init")?;
    check(
        &stage.foreshore(&["init"]).await?,
        2,
        &["looked for Cargo.toml"],
    );
    std::fs::write(stage.folder.join("Cargo.toml"), "[package\n")?;
    check(&stage.foreshore(&["init"]).await?, 2, &["Cargo.toml"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_platform_names_the_nearest_and_refuses_twins() -> Result<()> {
    let mut stage = Stage::new("running")?;
    let up = stage
        .up(&["--port", "0", "--ingress-port", "0", "--api-port", "0"])
        .await?;
    let again = json(&stage.foreshore(&["up", "--detach", "-o", "json"]).await?)?;
    ensure!(
        again["pid"] == up["pid"],
        "a second `up` finds the first: {again}"
    );

    check(
        &stage.foreshore(&["promote", "web", "-e", "prd"]).await?,
        6,
        &["there is no environment `prd`", "did you mean `prod`?"],
    );
    check(
        &stage.foreshore(&["promote", "web", "-e", "prod"]).await?,
        6,
        &["`web` has no release in `dev`"],
    );
    check(
        &stage.foreshore(&["promote", "web", "-e", "dev"]).await?,
        2,
        &["`dev` has no environment to promote from"],
    );
    check(
        &stage
            .foreshore(&["release", "web", "-e", "dev", "--branch", "main"])
            .await?,
        6,
        &["no artifact of branch `main`"],
    );
    check(
        &stage.foreshore(&["approve", "web-prod-1"]).await?,
        6,
        &["there is no open request `web-prod-1`"],
    );
    check(
        &stage
            .foreshore(&["hold", "web", "-e", "dev", "--reason", "x"])
            .await?,
        6,
        &["has no release in `dev`"],
    );
    check(
        &stage.foreshore(&["status", "web"]).await?,
        6,
        &["service `web` has no release"],
    );
    check(
        &stage.foreshore(&["--as", "onwer", "status"]).await?,
        6,
        &["did you mean `--as owner`?"],
    );
    check(
        &stage.with_token("fsh_guess", &["status"]).await?,
        4,
        &["the token is missing or not valid"],
    );
    check(
        &stage
            .foreshore(&["token", "issue", "owner", "--push", "web"])
            .await?,
        5,
        &["one of the platform's own names"],
    );

    a_taken_port_is_named(&stage, &up).await?;
    let down = stage.foreshore(&["down"]).await?;
    ensure!(down.code == 0, "{}", down.transcript());
    let twice = stage.foreshore(&["down"]).await?;
    ensure!(
        twice.code == 0 && twice.stderr.contains("no platform runs from"),
        "{}",
        twice.transcript()
    );
    Ok(())
}

async fn a_taken_port_is_named(stage: &Stage, up: &Value) -> Result<()> {
    let url = up["url"].as_str().unwrap_or_default();
    let port = url.rsplit(':').next().unwrap_or_default();
    let other = stage.folder.join("other");
    let other = other.to_string_lossy();
    let taken = stage
        .foreshore(&["--data", &other, "up", "--detach", "--port", port])
        .await?;
    check(
        &taken,
        2,
        &[
            &format!("port {port} for the server is taken"),
            "0 takes any free one",
        ],
    );
    Ok(())
}

#[tokio::test]
async fn a_context_that_is_not_there_is_named_with_those_that_are() -> Result<()> {
    let stage = Stage::new("context")?;
    let kubeconfig = stage.folder.join("kubeconfig");
    std::fs::write(
        &kubeconfig,
        "apiVersion: v1\nkind: Config\ncontexts: [{name: shop, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {server: \"https://127.0.0.1:1\"}}]\nusers: [{name: u, user: {}}]\n",
    )?;
    let path = kubeconfig.to_string_lossy().into_owned();
    let answer = stage
        .foreshore(&[
            "up",
            "--detach",
            "--port",
            "0",
            "--kubeconfig",
            &path,
            "--context",
            "shpo",
        ])
        .await?;
    check(&answer, 2, &["has no context `shpo`", "shop"]);
    Ok(())
}
