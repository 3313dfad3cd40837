//! `foreshore-api-documents DIR`: saves what a real API server says about
//! itself, for the generator of the engine's tables.
//!
//! Written are `api__v1_openapi.json` and so on, as `/openapi/v3/…` answers,
//! the aggregated discovery documents, and one table per listable resource.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::Parser;
use foreshore_testkit::{
    cluster::{Cluster, Components, Options},
    environment,
};
use http::header::ACCEPT;
use kube::Client;
use serde_json::Value;

const DISCOVERY: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
const JSON: &str = "application/json";

/// Save the documents of a real API server
#[derive(Debug, Parser)]
struct Arguments {
    /// Folder to write to
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(&Arguments::parse().folder).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            environment::say(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot make folder `{}`", folder.display()))?;
    let cluster = Cluster::real(Options {
        components: Components::ApiOnly,
        ..Options::default()
    })
    .await?;
    let documents = Documents {
        client: cluster.client().await?,
        folder: folder.to_owned(),
    };
    documents.openapi().await?;
    for root in ["api", "apis"] {
        let discovery = documents
            .save(
                &format!("/{root}"),
                DISCOVERY,
                &format!("discovery-{root}.json"),
            )
            .await?;
        documents
            .tables(root, &serde_json::from_str(&discovery)?)
            .await?;
    }
    Ok(())
}

struct Documents {
    client: Client,
    folder: PathBuf,
}

impl Documents {
    async fn get(&self, path: &str, accept: &str) -> Result<String> {
        let request = http::Request::get(path)
            .header(ACCEPT, accept)
            .body(Vec::new())?;
        self.client
            .request_text(request)
            .await
            .with_context(|| format!("cannot get `{path}`"))
    }

    async fn save(&self, path: &str, accept: &str, file: &str) -> Result<String> {
        let text = self.get(path, accept).await?;
        fs::write(self.folder.join(file), &text)
            .with_context(|| format!("cannot write `{file}`"))?;
        Ok(text)
    }

    /// One document per group and version: `apis/apps/v1` becomes
    /// `apis__apps__v1_openapi.json`.
    async fn openapi(&self) -> Result<()> {
        let index: Value = serde_json::from_str(&self.get("/openapi/v3", JSON).await?)?;
        let paths = index["paths"]
            .as_object()
            .context("the index of documents has paths")?;
        for name in paths.keys() {
            let file = format!("{}_openapi.json", name.replace('/', "__"));
            self.save(&format!("/openapi/v3/{name}"), JSON, &file)
                .await?;
        }
        Ok(())
    }

    /// An empty list as a table tells the columns of its kind.
    async fn tables(&self, root: &str, discovery: &Value) -> Result<()> {
        for group in discovery["items"].as_array().into_iter().flatten() {
            let group_name = group["metadata"]["name"].as_str().unwrap_or_default();
            for version in group["versions"].as_array().into_iter().flatten() {
                let version_name = version["version"]
                    .as_str()
                    .context("a version has a name")?;
                for resource in version["resources"].as_array().into_iter().flatten() {
                    let listable = resource["verbs"]
                        .as_array()
                        .is_some_and(|verbs| verbs.contains(&"list".into()));
                    if !listable {
                        continue;
                    }
                    let plural = resource["resource"]
                        .as_str()
                        .context("a resource has a name")?;
                    let (path, group) = if root == "api" {
                        (format!("/api/{version_name}/{plural}"), "core")
                    } else {
                        (
                            format!("/apis/{group_name}/{version_name}/{plural}"),
                            group_name,
                        )
                    };
                    self.save(
                        &path,
                        TABLE,
                        &format!("table-{group}-{version_name}-{plural}.json"),
                    )
                    .await?;
                }
            }
        }
        Ok(())
    }
}
