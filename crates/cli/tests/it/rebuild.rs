//! The cluster is gone: everything comes back from git, on an empty one.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use foreshore_testkit::cluster::{Cluster, Kind, Options};

use crate::served::Served;
use crate::stage::{expect, json};

/// Services in a row of the order in which they depend on each other.
const LAYER: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bootstrap_brings_every_service_back_on_an_empty_engine() -> Result<()> {
    bring_back(Kind::Engine, 20).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bootstrap_brings_every_service_back_on_an_empty_real_control_plane() -> Result<()> {
    bring_back(Kind::Real, 10).await
}

async fn bring_back(kind: Kind, services: usize) -> Result<()> {
    let served = Served::start("rebuild").await?;
    for number in 0..services {
        let files = manifests(number);
        served
            .files_in_dev(&name(number), 1, &files)
            .await
            .with_context(|| name(number))?;
    }
    let options = Options {
        simulated_nodes: 2,
        ..Options::default()
    };
    let cluster = Cluster::start(kind, options).await?;
    let kubeconfig = cluster.kubeconfig().display().to_string();
    let arguments = [
        "bootstrap",
        "--timeout",
        "100s",
        "--kubeconfig",
        &kubeconfig,
        "--environment",
        "dev",
        "-o",
        "json",
    ];
    let answer = expect(0, served.stage.foreshore(&arguments).await?)?;
    let rebuilt = json(&answer)?;
    let told = rebuilt["services"].as_array().context("no services")?;
    ensure!(told.len() == services, "{rebuilt}");
    let namespace = cluster
        .kubectl(&["get", "deployments", "--all-namespaces", "--no-headers"])
        .await?;
    let listed = String::from_utf8(namespace.stdout)?;
    for number in 0..services {
        let row = listed
            .lines()
            .find(|line| line.contains(&format!(" {} ", name(number))));
        let row = row.with_context(|| format!("{} is not in\n{listed}", name(number)))?;
        ensure!(row.contains("1/1"), "{row}");
    }
    // Once more changes nothing and takes no harm.
    let again = json(&expect(0, served.stage.foreshore(&arguments).await?)?)?;
    ensure!(again["services"] == rebuilt["services"], "{again}");
    Ok(())
}

fn name(number: usize) -> String {
    format!("service-{number}")
}

/// A Deployment and a Service; it depends on one of the layer before.
fn manifests(number: usize) -> BTreeMap<String, String> {
    let service = name(number);
    let on = number.checked_sub(LAYER).map(name).unwrap_or_default();
    let deployment = format!(
        "apiVersion: apps/v1
kind: Deployment
metadata:
  name: {service}
  annotations:
    foreshore.local/depends-on: '{on}'
spec:
  selector:
    matchLabels:
      app: {service}
  template:
    metadata:
      labels:
        app: {service}
    spec:
      containers:
        - name: main
          image: web:1
"
    );
    let of_service = format!(
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: {service}\nspec:\n  selector:\n    app: {service}\n  ports:\n    - port: 80\n"
    );
    BTreeMap::from([
        (format!("deployment-{service}.yaml"), deployment),
        (format!("service-{service}.yaml"), of_service),
    ])
}
