//! Reads what a real API server publishes (OpenAPI v3, discovery, Table
//! columns) and what the public Go types declare (field tags), and writes the
//! compact tables that `engine-schema` carries. Facts only: names, types, keys,
//! defaults, numbers; every description is dropped.
//!
//! It does not talk to a server: whoever runs it brings the documents.

mod go;
mod go_text;
mod kinds;
mod openapi;
mod proto;
mod resources;
mod sources;
mod types;

use std::path::Path;

use anyhow::{Context, Result};

pub use sources::{Request, Sources, requests};

/// The data files, by name, ready to be written.
#[derive(Debug)]
pub struct Generated {
    /// File name and content, in the order they are written.
    pub files: Vec<(&'static str, Vec<u8>)>,
}

/// Makes all data files from `sources`.
pub fn generate(sources: &Sources) -> Result<Generated> {
    let documents = sources.documents()?;
    let go = go::Packages::read(&sources.modules)?;
    let types = types::collect(&documents, &go)?;
    let resources = resources::collect(sources, &documents, &types)?;
    let proto = proto::collect(&go, &types)?;
    let (packed, index) = openapi::pack(&documents)?;
    Ok(Generated {
        files: vec![
            ("types.json", types.render()?.into_bytes()),
            ("resources.json", resources.into_bytes()),
            ("proto.json", proto.into_bytes()),
            ("openapi.json", index.into_bytes()),
            ("openapi.bin", packed),
        ],
    })
}

impl Generated {
    /// Writes the files into `directory`.
    pub fn write(&self, directory: &Path) -> Result<()> {
        for (name, content) in &self.files {
            let path = directory.join(name);
            std::fs::write(&path, content)
                .with_context(|| format!("write `{}`", path.display()))?;
        }
        Ok(())
    }

    /// Names the files in `directory` whose content differs.
    pub fn differing(&self, directory: &Path) -> Vec<&'static str> {
        self.files
            .iter()
            .filter(|(name, content)| {
                std::fs::read(directory.join(name)).ok().as_ref() != Some(content)
            })
            .map(|(name, _)| *name)
            .collect()
    }
}
