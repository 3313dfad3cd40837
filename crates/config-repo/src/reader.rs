//! Builds the world that decisions look at, and keeps it in step with the repository.

use std::collections::BTreeMap;

use foreshore_git::{EntryKind, ObjectId, Repository, TreeEntry};
use foreshore_model::config::Policy;
use foreshore_model::{Environment, Freeze, ReleaseFile, chain, yaml};
use foreshore_release::{Commit, Place, Refusal, Step, World};
use serde::de::DeserializeOwned;

use crate::error::ReadError;
use crate::layout::{Location, REQUESTS_REF, operations_file};
use crate::requests::read_request;
use crate::snapshot::{Snapshot, fits, plain, read_file, read_release};

/// The world at one commit, and what of it cannot be read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reader {
    pub(crate) world: World,
    /// Message by path. What cannot be read stands in the way of changes that rest on it.
    problems: BTreeMap<String, String>,
    snapshot: Option<Snapshot>,
    /// Branch tips of open requests.
    pub(crate) requests: BTreeMap<String, ObjectId>,
}

impl Reader {
    pub(crate) fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_ref()
    }

    /// Reads what changed between the commit last seen and this one.
    pub(crate) fn advance_to(
        &mut self,
        repository: &Repository,
        commit: &ObjectId,
    ) -> Result<(), ReadError> {
        let previous = self.snapshot.take();
        let snapshot = Snapshot::read(repository, commit, previous.as_ref())?;
        let old = |name: &str| {
            previous
                .as_ref()
                .and_then(|previous| previous.folders.get(name))
        };
        self.read_environments(&snapshot);
        self.read_releases(&snapshot, previous.as_ref())?;
        if old("policies") != snapshot.folders.get("policies") || previous.is_none() {
            self.read_policies(&snapshot)?;
        }
        if old("holds") != snapshot.folders.get("holds") || previous.is_none() {
            self.world.holds = self.read_places(&snapshot, "holds", |location| match location {
                Location::Hold(place) => Some(place),
                _ => None,
            })?;
        }
        if old("retired") != snapshot.folders.get("retired") || previous.is_none() {
            self.world.tombstones =
                self.read_places(&snapshot, "retired", |location| match location {
                    Location::Tombstone(place) => Some(place),
                    _ => None,
                })?;
        }
        if old("freezes") != snapshot.folders.get("freezes") || previous.is_none() {
            self.read_freezes(&snapshot)?;
        }
        self.snapshot = Some(snapshot);
        Ok(())
    }

    fn read_environments(&mut self, snapshot: &Snapshot) {
        self.world.environments.clear();
        self.problems
            .retain(|path, _| !matches!(Location::of(path), Location::Environment(_)));
        for (name, folder) in snapshot.environments.iter() {
            match &folder.file {
                Ok(environment) => {
                    self.world
                        .environments
                        .insert(name.clone(), environment.clone());
                }
                Err(error) => self.problem(&crate::layout::environment_file(name), error),
            }
        }
    }

    fn read_releases(
        &mut self,
        snapshot: &Snapshot,
        previous: Option<&Snapshot>,
    ) -> Result<(), ReadError> {
        let before = trees(previous);
        let after = trees(Some(snapshot));
        for place in before.keys().filter(|place| !after.contains_key(*place)) {
            self.forget(place);
        }
        let changed: Vec<(Place, ObjectId)> = after
            .into_iter()
            .filter(|(place, tree)| before.get(place) != Some(tree))
            .collect();
        // An entry that is no folder answers with an error when it is opened alone.
        let (folders, odd): (Vec<_>, Vec<_>) =
            changed
                .into_iter()
                .partition(|((environment, service), _)| {
                    snapshot.service_tree(environment, service).is_ok()
                });
        for ((environment, service), _) in odd {
            let place = (environment, service);
            self.forget(&place);
            if let Err(error) = snapshot.service_tree(&place.0, &place.1) {
                self.problem(&crate::layout::release_file(&place), &error);
            }
        }
        let ids: Vec<ObjectId> = folders.iter().map(|(_, tree)| tree.clone()).collect();
        let entries = snapshot.repository().trees(&ids)?;
        for ((place, _), entries) in folders.into_iter().zip(entries) {
            self.forget(&place);
            self.read_one_release(snapshot.repository(), place, &entries);
        }
        Ok(())
    }

    fn read_one_release(&mut self, repository: &Repository, place: Place, entries: &[TreeEntry]) {
        let find = |name: &str| entries.iter().find(|entry| entry.name == name).cloned();
        if let Some(entry) = find("manifests") {
            self.world.trees.insert(place.clone(), entry.id.to_string());
        }
        if let Some(entry) = find("operations.yaml") {
            let parent = format!("environments/{}/{}", place.0, place.1);
            match read_file(repository, &parent, entry) {
                Ok(operations) => drop(self.world.operations.insert(place.clone(), operations)),
                Err(error) => self.problem(&operations_file(&place), &error),
            }
        }
        let Some(entry) = find("release.yaml") else {
            return;
        };
        match read_release(repository, &place, entry) {
            Ok(release) => {
                self.world.releases.insert(place, release);
            }
            Err(error) => self.problem(&crate::layout::release_file(&place), &error),
        }
    }

    fn forget(&mut self, place: &Place) {
        forget(&mut self.world, place);
        self.problems.remove(&crate::layout::release_file(place));
        self.problems.remove(&operations_file(place));
    }

    fn read_policies(&mut self, snapshot: &Snapshot) -> Result<(), ReadError> {
        self.world.policies.clear();
        self.problems
            .retain(|path, _| !path.starts_with("policies/"));
        for (path, entry) in files(snapshot, "policies")? {
            let policy = match Location::of(&path) {
                Location::Policy(name) => {
                    read_file::<Policy>(snapshot.repository(), "policies", entry)
                        .map(|policy| (name, policy))
                }
                _ => continue,
            };
            match policy {
                Ok((name, policy)) => drop(self.world.policies.insert(name, policy)),
                Err(error) => self.problem(&path, &error),
            }
        }
        Ok(())
    }

    fn read_freezes(&mut self, snapshot: &Snapshot) -> Result<(), ReadError> {
        self.world.freezes.clear();
        self.problems
            .retain(|path, _| !path.starts_with("freezes/"));
        for (path, entry) in files(snapshot, "freezes")? {
            let Location::Freeze(name) = Location::of(&path) else {
                continue;
            };
            match read_file::<Freeze>(snapshot.repository(), "freezes", entry) {
                Ok(freeze) => drop(self.world.freezes.insert(name, freeze)),
                Err(error) => self.problem(&path, &error),
            }
        }
        Ok(())
    }

    /// Reads a folder with one file for each service in each environment.
    fn read_places<T: DeserializeOwned>(
        &mut self,
        snapshot: &Snapshot,
        folder: &str,
        place_of: impl Fn(Location) -> Option<Place>,
    ) -> Result<BTreeMap<Place, T>, ReadError> {
        let prefix = format!("{folder}/");
        self.problems.retain(|path, _| !path.starts_with(&prefix));
        let mut found = BTreeMap::new();
        for (path, entry) in files(snapshot, folder)? {
            let Some(place) = place_of(Location::of(&path)) else {
                continue;
            };
            let parent = format!("{folder}/{}", place.0);
            let entry = TreeEntry {
                name: format!("{}.yaml", place.1),
                ..entry
            };
            match read_file(snapshot.repository(), &parent, entry) {
                Ok(value) => drop(found.insert(place, value)),
                Err(error) => self.problem(&path, &error),
            }
        }
        Ok(found)
    }

    /// Takes over which request branches there are.
    pub(crate) fn read_requests(&mut self, repository: &Repository, refs: &[(String, ObjectId)]) {
        let tips: BTreeMap<String, ObjectId> = refs
            .iter()
            .filter_map(|(name, tip)| {
                Some((
                    name.strip_prefix(REQUESTS_REF)?
                        .strip_prefix('/')?
                        .to_owned(),
                    tip.clone(),
                ))
            })
            .collect();
        self.world
            .requests
            .retain(|id, _| tips.contains_key(id) && tips.get(id) == self.requests.get(id));
        for (id, tip) in &tips {
            // Known, or known to be unreadable.
            if self.requests.get(id) == Some(tip) {
                continue;
            }
            match read_request(repository, id, tip) {
                Ok(request) => drop(self.world.requests.insert(id.clone(), request)),
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "request cannot be read"
                ),
            }
        }
        self.requests = tips;
    }

    fn problem(&mut self, path: &str, error: &ReadError) {
        let text = chain(error);
        tracing::warn!(
            path,
            error = text,
            "file of the config repository cannot be read"
        );
        self.problems.insert(path.to_owned(), text);
    }

    /// Paths that cannot be read, with the reason.
    pub(crate) fn problems(&self) -> &BTreeMap<String, String> {
        &self.problems
    }

    /// Refuses a commit that rests on a file which cannot be read, unless it replaces that file.
    pub(crate) fn blocked(&self, commit: &Commit) -> Option<Refusal> {
        let replaces = |path: &str| {
            commit.steps.iter().any(|step| match step {
                Step::Write { path: written, .. } | Step::Remove { path: written } => {
                    path == written
                }
                Step::RemoveTree { path: tree } => path
                    .strip_prefix(tree.as_str())
                    .is_some_and(|rest| rest.starts_with('/')),
            })
        };
        let release = commit.release.as_ref();
        let rests_on = |path: &str| match Location::of(path) {
            Location::Policy(_) | Location::Freeze(_) => release.is_some(),
            // What it says now is not known, so nothing can be built on it.
            Location::Operations(_) => replaces(path),
            // Its sequence number is not known, so no later one can be given.
            Location::Release(place) => {
                release.is_some_and(|it| (&it.environment, &it.service) == (&place.0, &place.1))
            }
            Location::Hold(place) | Location::Tombstone(place) => {
                release.is_some_and(|it| (&it.environment, &it.service) == (&place.0, &place.1))
                    && !replaces(path)
            }
            _ => false,
        };
        let (_, message) = self.problems.iter().find(|(path, _)| rests_on(path))?;
        let refusal = Refusal::usage(format!(
            "the config repository holds a file that cannot be read: {message}"
        ));
        Some(refusal.hint("correct the file, commit and push it, then try again"))
    }
}

fn forget(world: &mut World, place: &Place) {
    world.releases.remove(place);
    world.operations.remove(place);
    world.trees.remove(place);
}

/// Brings the world to what it is after `commit`.
pub(crate) fn apply(world: &mut World, commit: &Commit) -> Result<(), ReadError> {
    for step in &commit.steps {
        match step {
            Step::Write { path, text } => write(world, path, text)?,
            Step::Remove { path } => remove(world, path),
            Step::RemoveTree { path } => remove_tree(world, path),
        }
    }
    for id in &commit.closes {
        world.requests.remove(id);
    }
    Ok(())
}

fn write(world: &mut World, path: &str, text: &str) -> Result<(), ReadError> {
    match Location::of(path) {
        Location::Environment(name) => {
            let environment: Environment = yaml::read(path, text)?;
            if environment.name != name {
                let found = format!("environment `{}`", environment.name);
                return Err(ReadError::Misplaced {
                    path: path.to_owned(),
                    found,
                });
            }
            world.environments.insert(name, environment);
        }
        Location::Release(place) => {
            let release = fits(&place, yaml::read::<ReleaseFile>(path, text)?)?;
            // Which tree the new manifests make is known once they are written.
            world.trees.remove(&place);
            world.releases.insert(place, release);
        }
        Location::Policy(name) => {
            world.policies.insert(name, yaml::read(path, text)?);
        }
        Location::Hold(place) => {
            world.holds.insert(place, yaml::read(path, text)?);
        }
        Location::Operations(place) => {
            world.operations.insert(place, yaml::read(path, text)?);
        }
        Location::Tombstone(place) => {
            world.tombstones.insert(place, yaml::read(path, text)?);
        }
        Location::Freeze(name) => {
            world.freezes.insert(name, yaml::read(path, text)?);
        }
        Location::Manifest(_) | Location::Other => {}
    }
    Ok(())
}

fn remove(world: &mut World, path: &str) {
    match Location::of(path) {
        Location::Environment(name) => drop(world.environments.remove(&name)),
        Location::Release(place) => drop(world.releases.remove(&place)),
        Location::Policy(name) => drop(world.policies.remove(&name)),
        Location::Hold(place) => drop(world.holds.remove(&place)),
        Location::Operations(place) => drop(world.operations.remove(&place)),
        Location::Tombstone(place) => drop(world.tombstones.remove(&place)),
        Location::Freeze(name) => drop(world.freezes.remove(&name)),
        Location::Manifest(_) | Location::Other => {}
    }
}

fn remove_tree(world: &mut World, tree: &str) {
    let gone = |path: &str| {
        path == tree
            || path
                .strip_prefix(tree)
                .is_some_and(|rest| rest.starts_with('/'))
    };
    world
        .environments
        .retain(|name, _| !gone(&crate::layout::environment_file(name)));
    world
        .releases
        .retain(|place, _| !gone(&crate::layout::release_file(place)));
    world
        .operations
        .retain(|place, _| !gone(&operations_file(place)));
    world
        .policies
        .retain(|name, _| !gone(&format!("policies/{name}.yaml")));
    world
        .holds
        .retain(|(environment, service), _| !gone(&format!("holds/{environment}/{service}.yaml")));
}

fn trees(snapshot: Option<&Snapshot>) -> BTreeMap<Place, ObjectId> {
    let environments = snapshot
        .into_iter()
        .flat_map(|snapshot| snapshot.environments.iter());
    environments
        .flat_map(|(environment, folder)| {
            let services = folder.services.iter();
            services.map(|(service, tree)| ((environment.clone(), service.clone()), tree.clone()))
        })
        .collect()
}

/// Lists the files below a top-level folder with their whole path.
fn files(snapshot: &Snapshot, folder: &str) -> Result<Vec<(String, TreeEntry)>, ReadError> {
    let Some(tree) = snapshot.folders.get(folder) else {
        return Ok(Vec::new());
    };
    let mut files = Vec::new();
    for entry in snapshot.repository().folder(folder, tree)? {
        let path = format!("{folder}/{}", entry.name);
        if entry.kind == EntryKind::Tree {
            for inner in snapshot.repository().folder(&path, &entry.id)? {
                let inner_path = format!("{path}/{}", inner.name);
                files.push((inner_path, plain(inner, &path, EntryKind::File)?));
            }
        } else {
            files.push((path, entry));
        }
    }
    Ok(files)
}
