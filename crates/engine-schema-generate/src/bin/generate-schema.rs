//! `generate-schema OPENAPI_DIR GO_MODULES OUTPUT_DIR [--check]`: the generator
//! as a program. `OPENAPI_DIR` holds the answers of a real API server to the
//! questions of `requests()`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use foreshore_engine_schema_generate::{Sources, generate};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (check, paths): (Vec<_>, Vec<_>) = arguments
        .into_iter()
        .partition(|argument| argument == "--check");
    let [documents, modules, output] = paths
        .try_into()
        .ok()
        .context("usage: generate-schema OPENAPI_DIR GO_MODULES OUTPUT_DIR [--check]")?;
    let generated = generate(&Sources {
        documents: PathBuf::from(documents),
        modules: PathBuf::from(modules),
    })?;
    let output = PathBuf::from(output);
    if check.is_empty() {
        return generated.write(&output);
    }
    let differing = generated.differing(&output);
    if !differing.is_empty() {
        bail!(
            "files differ from what the sources say: {}",
            differing.join(", ")
        );
    }
    Ok(())
}
