//! Every plan that is shipped: built and pushed once, and the same artifacts run on the engine and on a real control plane, with a secret.

mod elsewhere;
mod forged;
mod rebuilt;
mod secrets;
mod stolen;

use anyhow::{Context as _, Result, ensure};
use foreshore_testkit::wait;
use serde_json::Value;

use crate::stage::{PATIENCE, Stage, expect, json, page, text};
use crate::story::grounds::Ground;

/// A server, a worker and a job in one: small enough to be compiled on the way.
const PROGRAM: &str = r#"//! Answers with what it was given.
use std::io::{Read, Write};
fn main() {
    if std::env::args().nth(1).as_deref() == Some("once") {
        return println!("done");
    }
    let Ok(port) = std::env::var("PORT") else {
        loop { std::thread::sleep(std::time::Duration::from_secs(1)); }
    };
    let address = std::env::var("POD_IP").unwrap();
    let listener = std::net::TcpListener::bind(format!("{address}:{port}")).unwrap();
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { continue };
        let _ = stream.set_read_timeout(Some(std::time::Duration::from_secs(5)));
        let _ = stream.read(&mut [0; 4096]);
        let secret: String = std::env::var("DB_PASSWORD").unwrap_or_default().chars().rev().collect();
        let body = format!("it is {secret}.");
        let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    }
}
"#;

/// The plan's own build needs cargo and minutes; this needs a second.
const BUILD: &str = "overrides:
  actions:
    build:
      description: Compile one file.
      command: [rustc, --edition, '2021', -C, target-feature=+crt-static, -o, out, ../program.rs]
      output: out
    show:
      description: Print what an action gets to see.
      command: [env]
";

/// Name, plan, and the rest of the service file.
const SERVICES: [(&str, &str, &str); 5] = [
    (
        "shop-web",
        "rust-service",
        "ports: {http: 8080}
ingress: {host: shop-web.localhost}
secrets: {DB_PASSWORD: {description: the database}}
",
    ),
    ("shop-worker", "worker", ""),
    (
        "shop-job",
        "cronjob",
        "variables: {schedule: '*/5 * * * *', arguments: [once]}
",
    ),
    (
        "shop-site",
        "static-site",
        "ports: {http: 8080}
ingress: {host: shop-site.localhost}
",
    ),
    (
        "shop-old",
        "external",
        "variables: {host: old.example.org, port: 443}
",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_shipped_plan_is_built_once_and_the_same_artifacts_run_on_both_grounds() -> Result<()>
{
    let mut stage = Stage::new("shipped")?;
    write_services(&stage)?;
    let ingress = Ground::Engine.up(&mut stage).await?;
    secrets::a_value_is_stored_before_the_first_release(&stage).await?;
    let web = build_all(&stage).await?;
    an_image_that_exists_is_taken_over(&stage, &web).await?;
    everything_runs(&stage, &ingress).await?;
    elsewhere::the_same_artifacts_run_on_a_real_control_plane(&stage).await?;
    artifacts_are_told_and_verified(&stage, &web).await?;
    secrets::a_new_value_restarts_the_pods_and_is_nowhere_in_plain(&stage, &ingress).await?;
    rebuilt::everything_is_back_with_the_key_alone(&stage).await?;
    stolen::a_stolen_ci_token_changes_nothing(&stage, &web).await?;
    forged::what_is_not_the_artifact_is_not_applied(&stage, &ingress).await?;
    expect(0, stage.foreshore(&["down"]).await?)?;
    Ok(())
}

async fn everything_runs(stage: &Stage, ingress: &str) -> Result<()> {
    expect(0, stage.foreshore(&["status", "--wait"]).await?)?;
    for (host, part) in [
        ("shop-web.localhost", "it is "),
        ("shop-site.localhost", "<h1>the site</h1>"),
        ("shop-box.localhost", "it is ."),
    ] {
        let page = page(ingress, host).await?;
        ensure!(page.contains(part), "{host}: {page}");
    }
    Ok(())
}

fn service_file(name: &str, plan: &str, rest: &str) -> String {
    let build = match plan {
        "static-site" | "external" | "container" => "",
        _ => BUILD,
    };
    format!(
        "name: {name}\nowner: shop\nplan: {plan}\n{rest}{build}environments: {{dev: {{}}, prod: {{}}}}\n"
    )
}

fn write_services(stage: &Stage) -> Result<()> {
    let root = stage.checkout();
    let write = |path: &str, text: &str| -> Result<()> {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().context("a file has a parent")?)?;
        Ok(std::fs::write(path, text)?)
    };
    write("program.rs", PROGRAM)?;
    write(".gitignore", "out\n")?;
    write("shop-site/public/index.html", "<h1>the site</h1>\n")?;
    for (name, plan, rest) in SERVICES {
        write(
            &format!("{name}/foreshore.yaml"),
            &service_file(name, plan, rest),
        )?;
    }
    stage.git(&["init", "--quiet", "--initial-branch=main", "."])?;
    stage.commit("all plans")
}

async fn build(stage: &Stage, name: &str) -> Result<Value> {
    let directory = format!("checkout/{name}");
    let built = json(
        &stage
            .foreshore(&["run", "build", "-C", &directory, "-o", "json"])
            .await?,
    )?;
    ensure!(
        built.pointer("/released/0/environment") == Some(&"dev".into()),
        "{name}: {built}"
    );
    Ok(built)
}

/// Builds every service; returns what was said about `shop-web`.
async fn build_all(stage: &Stage) -> Result<Value> {
    let mut web = None;
    for (name, plan, _) in SERVICES {
        let built = build(stage, name).await?;
        ensure!(built["reused"] == false, "{name}: {built}");
        let has_image = built.get("image").is_some();
        ensure!(has_image == (plan != "external"), "{name}: {built}");
        if name == "shop-web" {
            web = Some(built);
        }
    }
    web.context("`shop-web` is one of the services")
}

async fn an_image_that_exists_is_taken_over(stage: &Stage, web: &Value) -> Result<()> {
    let image = text(web, "/image")?;
    // Named as manifests name it: the registry is the artifact's own, wherever that is.
    let (_, rest) = image.split_once('/').context("it names a registry")?;
    let file = service_file(
        "shop-box",
        "container",
        &format!(
            "ports: {{http: 8080}}\ningress: {{host: shop-box.localhost}}\nvariables: {{image: 'registry.foreshore.local/{rest}'}}\n"
        ),
    );
    let directory = stage.checkout().join("shop-box");
    std::fs::create_dir_all(&directory)?;
    std::fs::write(directory.join("foreshore.yaml"), file)?;
    stage.commit("a box")?;
    let built = build(stage, "shop-box").await?;
    let (own, digest) = (
        text(&built, "/image")?,
        image.rsplit('@').next().unwrap_or_default().to_owned(),
    );
    ensure!(
        own.contains("/shop-box@") && own.ends_with(&digest),
        "{own}"
    );
    Ok(())
}

async fn artifacts_are_told_and_verified(stage: &Stage, web: &Value) -> Result<()> {
    // The newest commit has no change of the service; it has an artifact of its own all the same.
    let id = text(web, "/id")?;
    let list = expect(0, stage.foreshore(&["artifact", "list", "shop-web"]).await?)?;
    ensure!(list.stdout.contains(&id), "{}", list.transcript());
    let told = expect(
        0,
        stage
            .foreshore(&["artifact", "describe", "shop-web", &id])
            .await?,
    )?;
    for part in [
        "stage      build passed",
        "all plans",
        "image      shop-web",
    ] {
        ensure!(
            told.stdout.contains(part),
            "`{part}`: {}",
            told.transcript()
        );
    }
    let verified = expect(
        0,
        stage
            .foreshore(&["artifact", "verify", "shop-web", &id])
            .await?,
    )?;
    ensure!(
        verified.stdout.contains("whole and signed by ed25519:"),
        "{}",
        verified.transcript()
    );
    let other = format!("ed25519:{}=", "A".repeat(43));
    let arguments = ["artifact", "verify", "shop-web", &id, "--key", &other];
    let refused = expect(1, stage.foreshore(&arguments).await?)?;
    ensure!(
        refused.stderr.contains("signed, but not by"),
        "{}",
        refused.transcript()
    );

    let directory = "checkout/shop-web";
    let first = json(
        &stage
            .foreshore(&["artifact", "push", "-C", directory, "-o", "json"])
            .await?,
    )?;
    let again = stage
        .foreshore(&["artifact", "push", "-C", directory])
        .await?;
    ensure!(
        again.stderr.contains("nothing is built twice"),
        "{first} {}",
        again.transcript()
    );
    ensure!(
        !again.stderr.contains("built shop-web in"),
        "{}",
        again.transcript()
    );
    Ok(())
}

/// Asks until the page of a service says what it should.
async fn page_says(ingress: &str, host: &str, expected: &str) -> Result<()> {
    wait::until(&format!("{host} to say `{expected}`"), PATIENCE, || async {
        page(ingress, host).await.is_ok_and(|page| page == expected)
    })
    .await
}
