//! One commit of the config repository, read as far as needed.
//!
//! A snapshot knows the environments and the tree id of every service; the
//! files of a service are read when asked for. Reading the next commit reuses
//! what has the same tree id.

use std::collections::BTreeMap;
use std::sync::Arc;

use foreshore_git::{EntryKind, GitError, ObjectId, Repository, TreeEntry};
use foreshore_model::{
    Check, Environment, EnvironmentName, Operations, ReleaseFile, Removals, ServiceName, Tombstone,
    yaml,
};
use serde::de::DeserializeOwned;

use crate::error::ReadError;
use crate::layout::{environment_file, release_file};

/// The folders that mean something to us.
const FOLDERS: [&str; 6] = [
    "environments",
    "policies",
    "holds",
    "freezes",
    "retired",
    "secrets",
];

/// The config repository at one commit; cheap to clone.
#[derive(Debug, Clone)]
pub struct Snapshot {
    repository: Repository,
    commit: ObjectId,
    /// Top-level folders by name.
    pub(crate) folders: Arc<BTreeMap<String, ObjectId>>,
    pub(crate) environments: Arc<BTreeMap<EnvironmentName, Arc<EnvironmentDir>>>,
}

/// One environment: its own file, and which services have a folder.
#[derive(Debug)]
pub(crate) struct EnvironmentDir {
    tree: ObjectId,
    pub(crate) file: Result<Environment, ReadError>,
    pub(crate) services: BTreeMap<ServiceName, ObjectId>,
    /// Services whose entry is no folder: they are there, and cannot be read.
    odd: BTreeMap<ServiceName, &'static str>,
}

/// The files of a service in an environment.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceDir {
    pub tree: ObjectId,
    pub release: ReleaseFile,
    pub operations: Operations,
    pub removals: Option<Removals>,
    /// What is measured once the release is healthy.
    pub checks: Vec<Check>,
    pub manifests: Vec<Manifest>,
    /// Tree id of the manifests alone.
    pub manifests_tree: ObjectId,
}

/// One file of exactly released bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The path in the repository, for messages.
    pub path: String,
    pub text: String,
}

impl Snapshot {
    /// Reads a commit; folders that `previous` has with the same tree id are not read again.
    pub fn read(
        repository: &Repository,
        commit: &ObjectId,
        previous: Option<&Self>,
    ) -> Result<Self, ReadError> {
        let root = repository.root(commit)?;
        let entries = repository.tree(&root)?.into_iter();
        let mut folders = BTreeMap::new();
        for entry in entries.filter(|entry| FOLDERS.contains(&entry.name.as_str())) {
            let entry = plain(entry, "", EntryKind::Tree)?;
            folders.insert(entry.name, entry.id);
        }
        let unchanged = previous
            .filter(|previous| previous.folders.get("environments") == folders.get("environments"));
        let environments = match (unchanged, folders.get("environments")) {
            (Some(previous), _) => previous.environments.clone(),
            (None, None) => Arc::default(),
            (None, Some(tree)) => Arc::new(read_environments(repository, tree, previous)?),
        };
        Ok(Self {
            repository: repository.clone(),
            commit: commit.clone(),
            folders: Arc::new(folders),
            environments,
        })
    }

    pub fn commit(&self) -> &ObjectId {
        &self.commit
    }

    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Whether the repository has any environment at all.
    pub fn is_empty(&self) -> bool {
        self.environments.is_empty()
    }

    /// Names every environment that has a folder, readable or not.
    pub fn environment_names(&self) -> impl Iterator<Item = &EnvironmentName> {
        self.environments.keys()
    }

    fn folder(&self, name: &EnvironmentName) -> Result<&EnvironmentDir, ReadError> {
        let missing = || ReadError::MissingEnvironment {
            environment: name.clone(),
            commit: self.commit.clone(),
        };
        self.environments
            .get(name)
            .map(|folder| &**folder)
            .ok_or_else(missing)
    }

    /// Returns an environment's own file.
    pub fn environment(&self, name: &EnvironmentName) -> Result<Environment, ReadError> {
        match &self.folder(name)?.file {
            Ok(environment) => Ok(environment.clone()),
            // The error was kept as it is; reading again gives one to hand out.
            Err(_) => read_environment(&self.repository, name, &self.folder(name)?.tree),
        }
    }

    /// Returns the services of an environment with the tree id of their folder.
    ///
    /// A service is listed as long as anything has its name, readable or not.
    pub fn services(
        &self,
        environment: &EnvironmentName,
    ) -> Result<&BTreeMap<ServiceName, ObjectId>, ReadError> {
        Ok(&self.folder(environment)?.services)
    }

    /// Reads the files of a service.
    pub fn service(
        &self,
        environment: &EnvironmentName,
        service: &ServiceName,
    ) -> Result<ServiceDir, ReadError> {
        let path = format!("environments/{environment}/{service}");
        let tree = self.service_tree(environment, service)?;
        let place = (environment.clone(), service.clone());
        let entries = self.repository.folder(&path, tree)?;
        let find = |name: &str| entries.iter().find(|entry| entry.name == name).cloned();
        let release = find("release.yaml").ok_or_else(|| ReadError::MissingFile {
            path: release_file(&place),
        })?;
        let release = read_release(&self.repository, &place, release)?;
        let operations = match find("operations.yaml") {
            Some(entry) => read_file(&self.repository, &path, entry)?,
            None => Operations::default(),
        };
        let removals = find("removals.yaml")
            .map(|entry| read_file(&self.repository, &path, entry))
            .transpose()?;
        let checks = match find("checks") {
            Some(entry) => self.checks(&path, entry)?,
            None => Vec::new(),
        };
        let manifests = find("manifests").ok_or_else(|| ReadError::MissingFile {
            path: format!("{path}/manifests"),
        })?;
        Ok(ServiceDir {
            tree: tree.clone(),
            release,
            operations,
            removals,
            checks,
            manifests_tree: manifests.id.clone(),
            manifests: self.manifests(&path, manifests)?,
        })
    }

    /// Returns the services of an environment that were retired on purpose.
    pub fn retired(
        &self,
        environment: &EnvironmentName,
    ) -> Result<BTreeMap<ServiceName, Tombstone>, ReadError> {
        let Some(retired) = self.folders.get("retired") else {
            return Ok(BTreeMap::new());
        };
        let parent = format!("retired/{environment}");
        let entries = self.repository.folder("retired", retired)?.into_iter();
        let mut found = BTreeMap::new();
        for folder in entries.filter(|entry| entry.name == environment.as_str()) {
            let folder = plain(folder, "retired", EntryKind::Tree)?;
            for entry in self.repository.folder(&parent, &folder.id)? {
                let name = entry.name.strip_suffix(".yaml").map(ServiceName::new);
                if let Some(Ok(service)) = name {
                    found.insert(service, read_file(&self.repository, &parent, entry)?);
                }
            }
        }
        Ok(found)
    }

    pub(crate) fn service_tree(
        &self,
        environment: &EnvironmentName,
        service: &ServiceName,
    ) -> Result<&ObjectId, ReadError> {
        let folder = self.folder(environment)?;
        if let Some(why) = folder.odd.get(service) {
            return Err(ReadError::Odd {
                path: format!("environments/{environment}/{service}"),
                why,
            });
        }
        folder
            .services
            .get(service)
            .ok_or_else(|| ReadError::MissingService {
                environment: environment.clone(),
                service: service.clone(),
                commit: self.commit.clone(),
            })
    }

    fn checks(&self, parent: &str, entry: TreeEntry) -> Result<Vec<Check>, ReadError> {
        let entry = plain(entry, parent, EntryKind::Tree)?;
        let parent = format!("{parent}/checks");
        let entries = self.repository.folder(&parent, &entry.id)?.into_iter();
        entries
            .map(|entry| read_file(&self.repository, &parent, entry))
            .collect()
    }

    fn manifests(&self, parent: &str, entry: TreeEntry) -> Result<Vec<Manifest>, ReadError> {
        let entry = plain(entry, parent, EntryKind::Tree)?;
        let parent = format!("{parent}/manifests");
        let mut entries = Vec::new();
        for entry in self.repository.folder(&parent, &entry.id)? {
            entries.push(plain(entry, &parent, EntryKind::File)?);
        }
        let ids: Vec<ObjectId> = entries.iter().map(|entry| entry.id.clone()).collect();
        let texts = self.repository.read_blobs(&ids)?;
        let manifests = entries.into_iter().zip(texts).map(|(entry, bytes)| {
            let path = format!("{parent}/{}", entry.name);
            let text =
                String::from_utf8(bytes).map_err(|_| ReadError::NotText { path: path.clone() })?;
            Ok(Manifest { path, text })
        });
        manifests.collect()
    }
}

fn read_environments(
    repository: &Repository,
    tree: &ObjectId,
    previous: Option<&Snapshot>,
) -> Result<BTreeMap<EnvironmentName, Arc<EnvironmentDir>>, ReadError> {
    let mut environments = BTreeMap::new();
    for entry in repository.folder("environments", tree)? {
        if entry.kind != EntryKind::Tree {
            continue;
        }
        let Ok(name) = EnvironmentName::new(entry.name.as_str()) else {
            return Err(ReadError::Odd {
                path: format!("environments/{}", entry.name),
                why: "its name is not the name of an environment",
            });
        };
        let known = previous.and_then(|previous| previous.environments.get(&name));
        let folder = match known.filter(|known| known.tree == entry.id) {
            Some(known) => known.clone(),
            None => Arc::new(read_folder(repository, &name, entry.id)?),
        };
        environments.insert(name, folder);
    }
    Ok(environments)
}

fn read_folder(
    repository: &Repository,
    name: &EnvironmentName,
    tree: ObjectId,
) -> Result<EnvironmentDir, ReadError> {
    let parent = format!("environments/{name}");
    let mut services = BTreeMap::new();
    let mut odd = BTreeMap::new();
    for entry in repository.tree(&tree)? {
        let Ok(service) = ServiceName::new(entry.name.as_str()) else {
            if entry.kind == EntryKind::Tree {
                tracing::warn!(path = %format!("{parent}/{}", entry.name), "folder is not named like a service and is ignored");
            }
            continue;
        };
        if let Err(error) = entry.check(&parent) {
            let GitError::OddEntry { why, .. } = error else {
                return Err(error.into());
            };
            odd.insert(service.clone(), why);
        } else if entry.kind != EntryKind::Tree {
            odd.insert(service.clone(), "it is a file where a folder belongs");
        }
        services.insert(service, entry.id);
    }
    let file = read_environment(repository, name, &tree);
    Ok(EnvironmentDir {
        tree,
        file,
        services,
        odd,
    })
}

fn read_environment(
    repository: &Repository,
    name: &EnvironmentName,
    tree: &ObjectId,
) -> Result<Environment, ReadError> {
    let path = environment_file(name);
    let entry = repository
        .tree(tree)?
        .into_iter()
        .find(|entry| entry.name == "environment.yaml");
    let entry = entry.ok_or_else(|| ReadError::MissingFile { path: path.clone() })?;
    let environment: Environment = read_file(repository, &format!("environments/{name}"), entry)?;
    if environment.name != *name {
        return Err(ReadError::Misplaced {
            path,
            found: format!("environment `{}`", environment.name),
        });
    }
    Ok(environment)
}

pub(crate) fn read_release(
    repository: &Repository,
    place: &foreshore_release::Place,
    entry: TreeEntry,
) -> Result<ReleaseFile, ReadError> {
    let (environment, service) = place;
    let release: ReleaseFile = read_file(
        repository,
        &format!("environments/{environment}/{service}"),
        entry,
    )?;
    fits(place, release)
}

pub(crate) fn fits(
    place: &foreshore_release::Place,
    release: ReleaseFile,
) -> Result<ReleaseFile, ReadError> {
    let (environment, service) = place;
    if release.environment == *environment && release.service == *service {
        return Ok(release);
    }
    let found = format!("`{}` in `{}`", release.service, release.environment);
    Err(ReadError::Misplaced {
        path: release_file(place),
        found,
    })
}

/// Reads a YAML file of ours.
pub(crate) fn read_file<T: DeserializeOwned>(
    repository: &Repository,
    parent: &str,
    entry: TreeEntry,
) -> Result<T, ReadError> {
    let entry = plain(entry, parent, EntryKind::File)?;
    let path = if parent.is_empty() {
        entry.name
    } else {
        format!("{parent}/{}", entry.name)
    };
    let text = String::from_utf8(repository.read_blob(&entry.id)?)
        .map_err(|_| ReadError::NotText { path: path.clone() })?;
    Ok(yaml::read(&path, &text)?)
}

/// Returns the entry if it is what belongs there.
pub(crate) fn plain(
    entry: TreeEntry,
    parent: &str,
    expected: EntryKind,
) -> Result<TreeEntry, ReadError> {
    entry.check(parent)?;
    let fits = if expected == EntryKind::Tree {
        entry.kind == EntryKind::Tree
    } else {
        entry.kind.is_file()
    };
    if fits {
        return Ok(entry);
    }
    let why = if expected == EntryKind::Tree {
        "a folder belongs there"
    } else {
        "a file belongs there"
    };
    let path = if parent.is_empty() {
        entry.name
    } else {
        format!("{parent}/{}", entry.name)
    };
    Err(ReadError::Odd { path, why })
}
