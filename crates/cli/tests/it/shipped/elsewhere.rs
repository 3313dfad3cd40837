//! What was built for one platform, byte for byte on another one with a registry of its own.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use foreshore_image::{
    ClientOptions, Credentials, Platform, Policy, PullOptions, Reference, RegistryClient, Store,
};
use foreshore_model::ServiceName;
use foreshore_testkit::cluster::install_crypto;
use serde_json::{Value, json};

use super::{everything_runs, secrets, write_services};
use crate::stage::{Stage, expect, json as answer, text};
use crate::story::grounds::Ground;

pub(super) async fn the_same_artifacts_run_on_a_real_control_plane(first: &Stage) -> Result<()> {
    let mut ground = Ground::real().await?;
    let mut stage = Stage::new("elsewhere")?;
    write_services(&stage)?;
    let ingress = ground.up(&mut stage).await?;
    secrets::a_value_is_stored_before_the_first_release(&stage).await?;
    let built = released(first).await?;
    ensure!(built.len() == 6, "every plan is released: {built:?}");
    for (service, digest) in &built {
        carry(first, &stage, service, digest).await?;
    }
    everything_runs(&stage, &ingress).await?;
    ensure!(
        released(&stage).await? == built,
        "the same artifacts run on both grounds"
    );
    secrets::a_new_value_restarts_the_pods_and_is_nowhere_in_plain(&stage, &ingress).await?;
    expect(0, stage.foreshore(&["down"]).await?)?;
    Ok(())
}

/// The digest of each service's artifact in the first environment.
async fn released(stage: &Stage) -> Result<BTreeMap<String, String>> {
    let status = answer(&stage.foreshore(&["status", "-o", "json"]).await?)?;
    let rows = status["services"].as_array().context("there are rows")?;
    rows.iter()
        .filter(|row| row["environment"] == "dev")
        .map(|row| Ok((text(row, "/service")?, text(row, "/release/artifact")?)))
        .collect()
}

/// Copies an artifact and its images from one registry to another; nothing is built.
async fn carry(from: &Stage, to: &Stage, service: &str, digest: &str) -> Result<()> {
    install_crypto();
    let service: ServiceName = service.parse()?;
    let (source, source_options) = registry(from)?;
    let (target, target_options) = registry(to)?;
    let reader = RegistryClient::new(&source, source_options.clone())?;
    let writer = RegistryClient::new(&target, target_options)?;
    let fetched = foreshore_artifact::fetch(&reader, &service, digest).await?;
    let store = Store::open(&to.folder.join("carried"))?;
    for image in fetched.record.images.values() {
        let reference = Reference::by_digest(&source, &image.repository, image.digest.clone())?;
        let options = PullOptions {
            policy: Policy::IfNotPresent,
            client: source_options.clone(),
            platform: Platform::host(),
        };
        let image_here = store.pull(&reference, &options).await?;
        store
            .push(&image_here, &writer, &image.repository, None)
            .await?;
    }
    let pushed = foreshore_artifact::push(&writer, &fetched.record).await?;
    ensure!(pushed.digest().as_str() == digest, "{service}: {pushed:?}");
    arrive(to, &service, digest).await
}

fn registry(stage: &Stage) -> Result<(String, ClientOptions)> {
    let (server, token) = secrets::owner(stage)?;
    let host = server
        .strip_prefix("http://")
        .context("it is on loopback")?;
    let options = ClientOptions {
        credentials: Credentials::Bearer(token),
        ..ClientOptions::default()
    };
    Ok((host.to_owned(), options))
}

/// Lets policies act on an artifact that is there.
async fn arrive(stage: &Stage, service: &ServiceName, digest: &str) -> Result<()> {
    let (server, token) = secrets::owner(stage)?;
    let answer = reqwest::Client::new()
        .post(format!("{server}/api/v1/arrivals"))
        .bearer_auth(token)
        .json(&json!({"service": service, "digest": digest}))
        .send()
        .await?;
    let (code, body) = (answer.status(), answer.json::<Value>().await?);
    ensure!(code.is_success(), "{service}: {code} {body}");
    Ok(())
}
