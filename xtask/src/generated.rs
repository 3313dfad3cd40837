//! The generated files of the repository, and what makes them.

use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{
    repository, shell,
    test_run::Built,
    tools::{self, Cache},
};

/// Whether files are written or only compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Write,
    Compare,
}

/// Runs every generator.
pub(crate) fn all(cache: &Cache, built: &Built, purpose: Purpose) -> Result<()> {
    schema(cache, built, purpose).context("the tables of `engine-schema`")
}

/// The engine's tables come from documents of the real API server and from
/// the Go modules it is built of.
fn schema(cache: &Cache, built: &Built, purpose: Purpose) -> Result<()> {
    let documents = cache
        .path()
        .join(format!("documents-{}", std::process::id()));
    let made = fetch_and_generate(cache, built, purpose, &documents);
    if documents.exists() {
        std::fs::remove_dir_all(&documents)
            .context("cannot remove the documents of the API server")?;
    }
    made
}

fn fetch_and_generate(
    cache: &Cache,
    built: &Built,
    purpose: Purpose,
    documents: &std::path::Path,
) -> Result<()> {
    shell::run(
        Command::new(built.program("foreshore-api-documents")?)
            .arg(documents)
            .env("FORESHORE_CACHE", cache.path()),
    )?;
    let mut generator = Command::new(built.program("generate-schema")?);
    generator
        .arg(documents)
        .arg(tools::go_sources(cache)?)
        .arg(repository::root().join("crates/engine-schema/data"));
    if purpose == Purpose::Compare {
        generator.arg("--check");
    }
    shell::run(&mut generator)
}
