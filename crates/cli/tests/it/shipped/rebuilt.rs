//! A cluster is lost. Git, registry and the key of its agent are enough to have everything back.

use anyhow::{Context as _, Result, ensure};
use foreshore_testkit::cli::Shell;
use foreshore_testkit::cluster::{Cluster, Kind, Options};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams};
use serde_json::Value;

use super::secrets;
use crate::stage::{Stage, expect, json, text};

pub(super) async fn everything_is_back_with_the_key_alone(stage: &Stage) -> Result<()> {
    let options = Options {
        simulated_nodes: 1,
        ..Options::default()
    };
    let cluster = Cluster::start(Kind::Engine, options).await?;
    let root = stage.folder.path();
    let credentials = stage.data().join("credentials");
    // On another machine there is nothing but what is brought along.
    let key = root.join("key-from-the-safe");
    std::fs::copy(credentials.join("agent.agekey"), &key)?;
    let agent: Value = serde_json::from_slice(&std::fs::read(credentials.join("agent.json"))?)?;
    let plain = |path: &std::path::Path| path.display().to_string();
    let shell = Shell::new(root)?
        .env("FORESHORE_DATA", &plain(&root.join("another-machine")))
        .env("FORESHORE_SERVER", &text(&agent, "/server")?)
        .env("FORESHORE_TOKEN", &text(&agent, "/token")?);
    let rebuilt = shell
        .raw([
            "bootstrap",
            "--kubeconfig",
            &plain(cluster.kubeconfig()),
            "--environment",
            "dev",
            "--secret-key",
            &plain(&key),
            "-o",
            "json",
        ])
        .await?;
    let rebuilt = json(&expect(0, rebuilt)?)?;
    let services = rebuilt["services"]
        .as_array()
        .context("services are named")?;
    ensure!(services.len() == 6, "{rebuilt}");
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Secret"));
    let found = Api::<DynamicObject>::all_with(cluster.client().await?, &kind);
    let found = found.list(&ListParams::default()).await?;
    let found = found
        .items
        .into_iter()
        .find(|secret| secret.metadata.name.as_deref() == Some("shop-web-secrets"))
        .context("the secret is back")?;
    let value = text(&found.data, "/data/DB_PASSWORD")?;
    ensure!(
        value.starts_with(secrets::ENCODED[1]),
        "another value came back"
    );
    Ok(std::fs::remove_file(key)?)
}
