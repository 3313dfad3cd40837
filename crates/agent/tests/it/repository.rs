//! A config repository in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use foreshore_agent::{EnvironmentFiles, Manifest, ServiceFiles, Source, SourceError};
use foreshore_model::config::{Approvals, Drift, SiteOrder};
use foreshore_model::{
    Actor, ArtifactId, Digest, Environment, EnvironmentName, Intent, Operations, ReleaseFile,
    Removals, ServiceName, SiteName, Tombstone,
};

/// What keeps new commits from being brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stuck {
    Frozen,
    Unreachable,
}

/// Commits with whole trees; the last is the tip.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    environment: EnvironmentName,
    namespace: String,
    commits: Arc<Mutex<Vec<BTreeMap<ServiceName, ServiceFiles>>>>,
    /// Reading this service panics.
    pub(crate) cursed: Option<ServiceName>,
    retired: Arc<Mutex<BTreeMap<ServiceName, Tombstone>>>,
    rules: Arc<Mutex<Option<Environment>>>,
    /// Why nothing is brought, and the last commit that was.
    stuck: Arc<Mutex<Option<(Stuck, String)>>>,
}

impl Repository {
    pub(crate) fn new(environment: &EnvironmentName, namespace: &str) -> Self {
        Self {
            environment: environment.clone(),
            namespace: namespace.to_owned(),
            commits: Arc::new(Mutex::new(vec![BTreeMap::new()])),
            cursed: None,
            retired: Arc::default(),
            rules: Arc::default(),
            stuck: Arc::default(),
        }
    }

    /// Lets nothing new through from now on, or everything again.
    pub(crate) fn stick(&self, why: Option<Stuck>) {
        let tip = self.commits.lock().unwrap().len() - 1;
        *self.stuck.lock().unwrap() = why.map(|why| (why, tip.to_string()));
    }

    fn commit(&self, change: impl FnOnce(&mut BTreeMap<ServiceName, ServiceFiles>)) -> u64 {
        let mut commits = self.commits.lock().unwrap();
        let mut next = commits.last().unwrap().clone();
        change(&mut next);
        commits.push(next);
        commits.len() as u64
    }

    /// Releases manifests; returns the sequence number.
    pub(crate) fn release(&self, service: &str, manifests: &[String]) -> u64 {
        let mut sequence = 0;
        self.commit(|services| {
            let name = ServiceName::new(service).unwrap();
            let before = services.get(&name);
            sequence = before.map_or(0, |files| files.release.sequence) + 1;
            let operations = before
                .map(|files| files.operations.clone())
                .unwrap_or_default();
            let files = self.files(&name, sequence, manifests, operations);
            services.insert(name, files);
        });
        sequence
    }

    pub(crate) fn operate(&self, service: &str, operations: Operations) {
        self.commit(|services| {
            let files = services
                .get_mut(&ServiceName::new(service).unwrap())
                .unwrap();
            files.tree = format!("{}+{operations:?}", files.tree);
            files.operations = operations;
        });
    }

    /// Ends a service on purpose.
    pub(crate) fn retire(&self, service: &str, confirmed: &[&str]) {
        let name = ServiceName::new(service).unwrap();
        let tombstone = Tombstone {
            sequence: 1,
            artifact: Digest::of(b"last"),
            actor: Actor::new("ada", "ada@example.org"),
            reason: "over".to_owned(),
            at: foreshore_model::clock::now(),
            confirmed: confirmed
                .iter()
                .map(|object| (*object).to_owned())
                .collect(),
        };
        self.retired.lock().unwrap().insert(name, tombstone);
        let _gone = self.commit(|services| {
            services.remove(&ServiceName::new(service).unwrap());
        });
    }

    /// Lets a release take objects away.
    pub(crate) fn confirm(&self, service: &str, objects: &[&str]) {
        self.commit(|services| {
            let files = services
                .get_mut(&ServiceName::new(service).unwrap())
                .unwrap();
            files.tree = format!("{}+confirmed", files.tree);
            files.removals = Some(Removals {
                sequence: files.release.sequence,
                objects: objects.iter().map(|object| (*object).to_owned()).collect(),
                actor: Actor::new("ada", "ada@example.org"),
                reason: "it is meant".to_owned(),
                at: foreshore_model::clock::now(),
            });
        });
    }

    /// Changes the environment's own file.
    pub(crate) fn rule(&self, change: impl FnOnce(&mut Environment)) {
        let mut environment = self.own_file();
        change(&mut environment);
        *self.rules.lock().unwrap() = Some(environment);
        self.commit(|_| {});
    }

    fn own_file(&self) -> Environment {
        let plain = || Environment {
            name: self.environment.clone(),
            namespace: self.namespace.clone(),
            promotes_from: None,
            sites: vec![SiteName::new("local").unwrap()],
            approvals: Approvals::default(),
            production: false,
            site_order: SiteOrder::default(),
            drift: Drift::default(),
            service_account: None,
            recipients: Vec::new(),
        };
        self.rules.lock().unwrap().clone().unwrap_or_else(plain)
    }

    /// Loses a service's folder without a word.
    pub(crate) fn remove(&self, service: &str) {
        self.commit(|services| {
            services
                .remove(&ServiceName::new(service).unwrap())
                .unwrap();
        });
    }

    /// A commit that changes nothing here.
    pub(crate) fn elsewhere(&self) {
        self.commit(|_| {});
    }

    fn files(
        &self,
        service: &ServiceName,
        sequence: u64,
        manifests: &[String],
        operations: Operations,
    ) -> ServiceFiles {
        let all = manifests.join("\n---\n");
        let artifact = Digest::of(all.as_bytes());
        let release = ReleaseFile {
            service: service.clone(),
            environment: self.environment.clone(),
            sequence,
            artifact_id: ArtifactId::from_parts("main", artifact.hex(), "plan"),
            artifact,
            intent: Intent::Release,
            actor: Actor::new("ada", "ada@example.org"),
            reason: String::new(),
            at: foreshore_model::clock::now(),
            previous: None,
            approved_by: Vec::new(),
            verdicts: Vec::new(),
        };
        let manifests = manifests.iter().enumerate().map(|(index, text)| Manifest {
            path: format!("manifests/{index}.yaml"),
            text: text.clone(),
        });
        ServiceFiles {
            tree: format!("{sequence}-{}", release.artifact),
            manifests_tree: release.artifact.to_string(),
            release,
            operations,
            removals: None,
            checks: Vec::new(),
            manifests: manifests.collect(),
        }
    }

    fn at(&self, commit: &str) -> BTreeMap<ServiceName, ServiceFiles> {
        self.commits.lock().unwrap()[commit.parse::<usize>().unwrap()].clone()
    }
}

#[async_trait]
impl Source for Repository {
    async fn fetch(&self) -> Result<String, SourceError> {
        match self.stuck.lock().unwrap().as_ref().map(|(why, _)| *why) {
            Some(Stuck::Frozen) => {
                let why = "history was rewritten".to_owned();
                return Err(SourceError::Frozen { why });
            }
            Some(Stuck::Unreachable) => {
                let cause = "no route to host".into();
                return Err(SourceError::Unreachable { cause });
            }
            None => {}
        }
        Ok((self.commits.lock().unwrap().len() - 1).to_string())
    }

    async fn tip(&self) -> Result<Option<String>, SourceError> {
        if let Some((_, tip)) = self.stuck.lock().unwrap().clone() {
            return Ok(Some(tip));
        }
        self.fetch().await.map(Some)
    }

    async fn environment(
        &self,
        commit: &str,
        environment: &EnvironmentName,
    ) -> Result<EnvironmentFiles, SourceError> {
        assert_eq!(*environment, self.environment);
        let services = self
            .at(commit)
            .into_iter()
            .map(|(service, files)| (service, files.tree));
        Ok(EnvironmentFiles {
            environment: self.own_file(),
            services: services.collect(),
            retired: self.retired.lock().unwrap().clone(),
        })
    }

    async fn service(
        &self,
        commit: &str,
        _environment: &EnvironmentName,
        service: &ServiceName,
    ) -> Result<ServiceFiles, SourceError> {
        assert_ne!(self.cursed.as_ref(), Some(service), "the cursed service");
        let files = self.at(commit).remove(service);
        files.ok_or_else(|| SourceError::Unreadable {
            what: service.to_string(),
            commit: commit.to_owned(),
            cause: "no such folder".into(),
        })
    }
}
