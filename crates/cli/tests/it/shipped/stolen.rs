//! Somebody has the token of a CI run. What runs in production does not change.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use foreshore_testkit::cluster::install_crypto;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::{expect, secrets};
use crate::stage::{Stage, text};

pub(super) async fn a_stolen_ci_token_changes_nothing(stage: &Stage, web: &Value) -> Result<()> {
    let issued = ["token", "issue", "ci-shop-web", "--push", "shop-web"];
    let token = expect(0, stage.foreshore(&issued).await?)?
        .stdout
        .trim()
        .to_owned();
    let before = main_branch(stage)?;
    let id = text(web, "/id")?;
    for words in [
        &["release", "shop-web", "-e", "prod", "--artifact", &id][..],
        &[
            "promote", "shop-web", "-e", "prod", "--reason", "mine", "--yes",
        ],
        &[
            "rollback", "shop-web", "-e", "dev", "--reason", "mine", "--yes",
        ],
        &["hold", "shop-web", "-e", "prod", "--reason", "mine"],
        &[
            "scale",
            "shop-web",
            "-e",
            "dev",
            "--replicas",
            "0",
            "--reason",
            "mine",
        ],
        &[
            "retire", "shop-web", "-e", "dev", "--reason", "mine", "--yes",
        ],
        &[
            "secret",
            "set",
            "DB_PASSWORD",
            "-s",
            "shop-web",
            "-e",
            "dev",
            "--from-file",
            "checkout/program.rs",
        ],
        &["secret", "list", "-s", "shop-web", "-e", "dev"],
        &["token", "issue", "mine", "--push", "shop-old"],
        &["artifact", "list", "shop-web"],
        &["status"],
        &["audit"],
        &["run", "build", "-C", "checkout/shop-site"],
    ] {
        let answer = stage.with_token(&token, words).await?;
        ensure!(
            answer.code == 3,
            "`{}` is not refused: {}",
            words.join(" "),
            answer.transcript()
        );
    }
    the_registry_takes_nothing_but_new_artifacts_of_its_service(stage, &token, web).await?;
    the_config_repository_is_closed(stage, &token)?;
    ensure!(
        main_branch(stage)? == before,
        "the config repository was changed with a stolen token"
    );
    Ok(())
}

/// The tip of what runs.
fn main_branch(stage: &Stage) -> Result<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(stage.data().join("server/config.git"))
        .args(["rev-parse", "refs/heads/main"])
        .output()?;
    ensure!(output.status.success(), "there is no main branch");
    Ok(String::from_utf8(output.stdout)?)
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const ARTIFACT: &str = "application/vnd.foreshore.artifact.v1+json";
const SIGNATURE: &str = "application/vnd.foreshore.signature.v1+json";
/// The digest of `{}`, which every artifact has as its configuration.
const EMPTY: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

/// A manifest that calls itself something.
fn forged(artifact_type: &str, subject: Option<&str>) -> String {
    let config =
        json!({"mediaType": "application/vnd.oci.empty.v1+json", "digest": EMPTY, "size": 2});
    let mut forged = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": artifact_type,
        "config": config,
        "layers": [config],
    });
    if let Some(subject) = subject {
        forged["subject"] = json!({"mediaType": MANIFEST, "digest": subject, "size": 1});
    }
    forged.to_string()
}

async fn the_registry_takes_nothing_but_new_artifacts_of_its_service(
    stage: &Stage,
    token: &str,
    web: &Value,
) -> Result<()> {
    install_crypto();
    let client = Client::new();
    let (server, _) = secrets::owner(stage)?;
    let (id, digest) = (text(web, "/id")?, text(web, "/digest")?);
    let ask = async |method: Method, path: &str, body: Option<(&str, String)>| -> Result<u16> {
        let mut request = client
            .request(method, format!("{server}{path}"))
            .bearer_auth(token);
        if let Some((content_type, body)) = body {
            request = request.header("content-type", content_type).body(body);
        }
        Ok(request.send().await?.status().as_u16())
    };
    let artifacts = "/v2/artifacts/shop-web/manifests";
    for (what, method, path, body, expected) in [
        (
            "a tag that moves",
            Method::PUT,
            format!("{artifacts}/{id}"),
            forged(ARTIFACT, None),
            409,
        ),
        (
            "a signature of one's own",
            Method::PUT,
            format!("{artifacts}/mine"),
            forged(SIGNATURE, Some(&digest)),
            403,
        ),
        (
            "an artifact of another",
            Method::PUT,
            "/v2/artifacts/shop-site/manifests/mine".to_owned(),
            forged(ARTIFACT, None),
            403,
        ),
        (
            "an image of another",
            Method::POST,
            "/v2/shop-site/blobs/uploads/".to_owned(),
            String::new(),
            403,
        ),
        (
            "taking away",
            Method::DELETE,
            format!("{artifacts}/{digest}"),
            String::new(),
            403,
        ),
    ] {
        let code = ask(method, &path, Some((MANIFEST, body))).await?;
        ensure!(code == expected, "{what}: {code}, not {expected}");
    }
    // What looks like an artifact and holds nothing is signed on arrival, and still no release.
    let code = ask(
        Method::PUT,
        &format!("{artifacts}/mine"),
        Some((MANIFEST, forged(ARTIFACT, None))),
    )
    .await?;
    ensure!(code == 201, "an artifact of its own service: {code}");
    let arrival = json!({"service": "shop-site", "digest": digest}).to_string();
    let code = ask(
        Method::POST,
        "/api/v1/arrivals",
        Some(("application/json", arrival)),
    )
    .await?;
    ensure!(code == 403, "an arrival of another service: {code}");
    Ok(())
}

fn the_config_repository_is_closed(stage: &Stage, token: &str) -> Result<()> {
    let (server, _) = secrets::owner(stage)?;
    let header = format!("http.extraHeader=Authorization: Bearer {token}");
    let url = format!("{server}/git/config.git");
    for words in [
        &["ls-remote", &url][..],
        &["push", &url, "HEAD:refs/heads/main"],
    ] {
        let output = Command::new("git")
            .args(["-c", &header])
            .args(words)
            .env("GIT_TERMINAL_PROMPT", "0")
            .current_dir(stage.checkout())
            .output()
            .context("git runs")?;
        ensure!(!output.status.success(), "`git {}` went through", words[0]);
    }
    Ok(())
}
