//! A project of shuttle's with its plan pinned: nothing is asked of anybody, and a newer plan comes only when it is wanted.

use std::fs;

use anyhow::{Result, ensure};
use foreshore_testkit::cli::{Answer, Shell};
use serde_json::Value;

use crate::stage::{Stage, json, said};

const PLAN: &str = "scripts:
  build:
    description: build it
    actions:
    - shell: cat $plan/note
";

/// A plan in git, and a project that names it.
fn project(stage: &Stage) -> Result<()> {
    let checkout = stage.checkout();
    fs::create_dir_all(&checkout)?;
    fs::write(checkout.join("plan.yaml"), PLAN)?;
    fs::write(checkout.join("note"), "first\n")?;
    stage.git(&["init", "--quiet", "--initial-branch=main", "."])?;
    stage.commit("first")?;
    let shop = stage.folder.join("shop");
    fs::create_dir_all(&shop)?;
    let plan = format!("file://{}", checkout.display());
    Ok(fs::write(
        shop.join("shuttle.yaml"),
        format!("plan: {plan}#main\nvars:\n  service: shop\n"),
    )?)
}

/// A run that is not to ask anybody.
async fn cut_off(stage: &Stage, words: &[&str]) -> Result<Answer> {
    let cache = stage.folder.join("own-cache").display().to_string();
    Shell::new(stage.folder.path())?
        .env("FORESHORE_CACHE", &cache)
        .env("FORESHORE_OFFLINE", "1")
        .raw(words)
        .await
}

async fn with_own_cache(stage: &Stage, words: &[&str]) -> Result<Answer> {
    let cache = stage.folder.join("own-cache").display().to_string();
    Shell::new(stage.folder.path())?
        .env("FORESHORE_CACHE", &cache)
        .raw(words)
        .await
}

#[tokio::test]
async fn a_project_of_shuttle_is_pinned_and_served_from_its_lock() -> Result<()> {
    let stage = Stage::new("pinned")?;
    project(&stage)?;
    let update = ["plan", "update", "-C", "shop"];
    said(
        &with_own_cache(&stage, &update).await?,
        0,
        &[
            "shop: plan ",
            "is pinned for the first time",
            "foreshore.lock",
        ],
    )?;
    let lock = stage.folder.join("shop/foreshore.lock");
    let pinned = fs::read_to_string(&lock)?;
    fs::write(stage.checkout().join("note"), "second\n")?;
    stage.commit("second")?;
    // The repository could not be asked even if somebody wanted to.
    fs::rename(stage.checkout(), stage.folder.join("away"))?;
    for (words, stdout) in [
        (&["get", "-C", "shop", "service"][..], "shop"),
        (&["has", "-C", "shop", "--stdout", "service"], "true"),
        (
            &["has", "-C", "shop", "--stdout", "--script", "build"],
            "true",
        ),
        (&["run", "-C", "shop", "build"], "first\n"),
    ] {
        let answer = cut_off(&stage, words).await?;
        ensure!(
            answer.code == 0 && answer.stdout == stdout,
            "{words:?}: {}",
            answer.transcript()
        );
    }
    said(
        &cut_off(&stage, &["ls", "-C", "shop"]).await?,
        0,
        &["build"],
    )?;
    fs::rename(stage.folder.join("away"), stage.checkout())?;

    let rows = json(&with_own_cache(&stage, &["plan", "status", "-o", "json", "."]).await?)?;
    let row = rows.as_array().and_then(|rows| rows.first());
    ensure!(
        row.map(|row| &row["state"]) == Some(&Value::from("behind")),
        "{rows}"
    );
    let preview = ["plan", "update", "-C", "shop", "--dry-run"];
    said(
        &with_own_cache(&stage, &preview).await?,
        0,
        &["--- plan/note\n+++ plan/note\n", "-first\n+second\n"],
    )?;
    ensure!(
        fs::read_to_string(&lock)? == pinned,
        "a preview writes nothing"
    );
    said(&with_own_cache(&stage, &update).await?, 0, &["wrote "])?;
    let answer = cut_off(&stage, &["run", "-C", "shop", "build"]).await?;
    ensure!(answer.stdout == "second\n", "{}", answer.transcript());
    Ok(())
}

const SERVICE: &str = "name: shop
owner: team
plan: rust-service
ports: {http: 8080}
environments: {dev: {}}
";

const OWN: &str = "name: own
description: d
actions:
  build: {description: d, command: ['true']}
  mine: {description: d, command: [printf, mine]}
";

#[tokio::test]
async fn another_plan_for_once_by_flag_or_environment_and_the_lock_stays() -> Result<()> {
    let stage = Stage::new("overload")?;
    project(&stage)?;
    said(
        &with_own_cache(&stage, &["plan", "update", "-C", "shop"]).await?,
        0,
        &[],
    )?;
    let lock = fs::read_to_string(stage.folder.join("shop/foreshore.lock"))?;
    stage.git(&["switch", "--quiet", "--create", "next"])?;
    fs::write(stage.checkout().join("note"), "next\n")?;
    stage.commit("next")?;
    let words = ["run", "-C", "shop", "--plan", "#next", "build"];
    let answer = with_own_cache(&stage, &words).await?;
    ensure!(answer.stdout == "next\n", "{}", answer.transcript());
    let answer = with_own_cache(&stage, &["run", "-C", "shop", "build"]).await?;
    ensure!(answer.stdout == "first\n", "{}", answer.transcript());
    ensure!(
        fs::read_to_string(stage.folder.join("shop/foreshore.lock"))? == lock,
        "the lock is not touched"
    );

    // The same for a service of ours.
    let own = stage.folder.join("own");
    fs::create_dir_all(own.join("templates"))?;
    fs::write(own.join("plan.yaml"), OWN)?;
    fs::write(
        own.join("templates/config.yaml"),
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shop}\n",
    )?;
    let service = stage.folder.join("service");
    fs::create_dir_all(&service)?;
    fs::write(service.join("foreshore.yaml"), SERVICE)?;
    let run = ["run", "-C", "service", "mine"];
    said(
        &stage.foreshore(&run).await?,
        2,
        &["plan `rust-service` has no action `mine`"],
    )?;
    let flag = ["run", "-C", "service", "--plan", "own", "mine"];
    said(&stage.foreshore(&flag).await?, 0, &["mine"])?;
    let set = Shell::new(stage.folder.path())?.env("SHUTTLE_PLAN_OVERLOAD", "own");
    said(&set.raw(run).await?, 0, &["mine"])?;
    let has = ["has", "-C", "service", "--stdout", "--script", "mine"];
    said(&set.raw(has).await?, 0, &["true"])?;
    said(
        &set.raw(["run", "-C", "service", "--list", "-o", "json"])
            .await?,
        0,
        &["\"mine\""],
    )?;
    let head = ["run", "-C", "service", "--plan", "#next", "mine"];
    said(&stage.foreshore(&head).await?, 2, &["is a directory"])
}
