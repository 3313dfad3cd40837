//! Where the facts come from on disk, and how they are read.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

/// The places the generator reads.
#[derive(Debug)]
pub struct Sources {
    /// Directory of documents saved from a real API server:
    /// `api__v1_openapi.json`, `apis__apps__v1_openapi.json` … as
    /// `/openapi/v3/…` answers, `discovery-api.json` and `discovery-apis.json`
    /// (aggregated discovery, v2), and `table-GROUP-VERSION-PLURAL.json`
    /// (any Table answer of the resource; the group of `v1` is `core`).
    pub documents: PathBuf,
    /// Directory holding the Go modules `k8s.io/api@…`,
    /// `k8s.io/apimachinery@…` and `k8s.io/apiextensions-apiserver@…`.
    pub modules: PathBuf,
}

/// One group-version's OpenAPI v3 document.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) body: Value,
}

impl Document {
    /// The path below `/openapi/v3/`, for example `apis/apps/v1`.
    pub(crate) fn path(&self) -> String {
        if self.group.is_empty() {
            format!("api/{}", self.version)
        } else {
            format!("apis/{}/{}", self.group, self.version)
        }
    }

    pub(crate) fn schemas(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.body
            .pointer("/components/schemas")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
    }
}

impl Sources {
    pub(crate) fn json(&self, name: &str) -> Result<Value> {
        let path = self.documents.join(name);
        let text = fs::read(&path).with_context(|| format!("read `{}`", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("parse `{}`", path.display()))
    }

    /// Reads the documents of every group-version, ordered by path.
    pub(crate) fn documents(&self) -> Result<Vec<Document>> {
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(&self.documents)
            .with_context(|| format!("list `{}`", self.documents.display()))?
        {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let Some(stem) = name.strip_suffix("_openapi.json") else {
                continue;
            };
            let parts: Vec<&str> = stem.split("__").collect();
            let (group, version) = match parts.as_slice() {
                ["api", version] => ("", *version),
                ["apis", group, version] => (*group, *version),
                _ => continue,
            };
            let document = Document {
                group: group.to_owned(),
                version: version.to_owned(),
                body: self.json(&name)?,
            };
            found.insert(document.path(), document);
        }
        Ok(found.into_values().collect())
    }
}
