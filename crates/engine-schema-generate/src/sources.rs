//! Where the facts come from on disk, and how they are read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::kinds;

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

/// A question to a real API server whose answer is one of the documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Under which name the answer is saved.
    pub file: String,
    /// Path and query.
    pub path: String,
    pub accept: &'static str,
}

/// All questions; an administrator's answers to them are what
/// `Sources::documents` expects.
pub fn requests() -> Vec<Request> {
    const DISCOVERY: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let root = |group: &str, version: &str| match group {
        "" => format!("api/{version}"),
        group => format!("apis/{group}/{version}"),
    };
    let mut found = Vec::new();
    for name in ["api", "apis"] {
        found.push(Request {
            file: format!("discovery-{name}.json"),
            path: format!("/{name}"),
            accept: DISCOVERY,
        });
    }
    let versions: BTreeSet<(&str, &str)> = kinds::all().map(|name| (name.0, name.1)).collect();
    for (group, version) in versions {
        let root = root(group, version);
        let file = format!("{}_openapi.json", root.replace('/', "__"));
        found.push(Request {
            file,
            path: format!("/openapi/v3/{root}"),
            accept: "application/json",
        });
    }
    for name in kinds::all().filter(|name| kinds::can_be_listed(*name)) {
        let (group, version, plural) = name;
        let group_name = if group.is_empty() { "core" } else { group };
        found.push(Request {
            file: format!("table-{group_name}-{version}-{plural}.json"),
            path: format!("/{}/{plural}?limit=1", root(group, version)),
            accept: TABLE,
        });
    }
    found
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
