//! Sealed values: `secrets/<environment>/<service>/<NAME>.age`.
//!
//! They stand apart from the releases: a value may be there before the first
//! release and outlives a rollback.

use std::collections::BTreeMap;

use foreshore_git::{EntryKind, ObjectId};
use foreshore_model::{EnvironmentName, ServiceName};

use crate::error::ReadError;
use crate::snapshot::{Snapshot, plain};

const FOLDER: &str = "secrets";

/// Where the sealed value of a variable is.
pub fn sealed_file(environment: &EnvironmentName, service: &ServiceName, name: &str) -> String {
    format!("{FOLDER}/{environment}/{service}/{name}.age")
}

impl Snapshot {
    /// Returns the services of an environment that have sealed values, with the tree id of these.
    pub fn sealed_trees(
        &self,
        environment: &EnvironmentName,
    ) -> Result<BTreeMap<ServiceName, ObjectId>, ReadError> {
        let Some(root) = self.folders.get(FOLDER) else {
            return Ok(BTreeMap::new());
        };
        let repository = self.repository();
        let mut entries = repository.folder(FOLDER, root)?.into_iter();
        let Some(folder) = entries.find(|entry| entry.name == environment.as_str()) else {
            return Ok(BTreeMap::new());
        };
        let folder = plain(folder, FOLDER, EntryKind::Tree)?;
        let parent = format!("{FOLDER}/{environment}");
        let mut found = BTreeMap::new();
        for entry in repository.folder(&parent, &folder.id)? {
            // What has no service's name belongs to none.
            if let Ok(service) = ServiceName::new(entry.name.as_str()) {
                let entry = plain(entry, &parent, EntryKind::Tree)?;
                found.insert(service, entry.id);
            }
        }
        Ok(found)
    }

    /// Reads the sealed values of a service by the names of their variables.
    pub fn sealed(
        &self,
        environment: &EnvironmentName,
        service: &ServiceName,
    ) -> Result<BTreeMap<String, String>, ReadError> {
        let trees = self.sealed_trees(environment)?;
        let Some(tree) = trees.get(service) else {
            return Ok(BTreeMap::new());
        };
        let repository = self.repository();
        let parent = format!("{FOLDER}/{environment}/{service}");
        let mut names = Vec::new();
        let mut ids = Vec::new();
        for entry in repository.folder(&parent, tree)? {
            let Some(name) = entry.name.strip_suffix(".age").map(str::to_owned) else {
                continue;
            };
            ids.push(plain(entry, &parent, EntryKind::File)?.id);
            names.push(name);
        }
        let texts = repository.read_blobs(&ids)?;
        let sealed = names.into_iter().zip(texts).map(|(name, bytes)| {
            let text = String::from_utf8(bytes).map_err(|_| ReadError::NotText {
                path: format!("{parent}/{name}.age"),
            })?;
            Ok((name, text))
        });
        sealed.collect()
    }
}
