//! `foreshore-api-documents DIR`: saves what a real API server says about
//! itself, for the generator of the engine's tables.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::Parser;
use foreshore_engine_schema_generate::{Request, requests};
use foreshore_testkit::{
    cluster::{Cluster, Components, Options},
    environment,
};
use http::header::ACCEPT;
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
    let client = cluster.client().await?;
    for Request { file, path, accept } in requests() {
        let request = http::Request::get(&path)
            .header(ACCEPT, accept)
            .body(Vec::new())?;
        let text = client
            .request_text(request)
            .await
            .with_context(|| format!("cannot get `{path}`"))?;
        fs::write(folder.join(&file), text).with_context(|| format!("cannot write `{file}`"))?;
    }
    Ok(())
}
