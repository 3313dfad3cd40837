//! Where the desired state comes from.

use std::collections::BTreeMap;

use async_trait::async_trait;
use foreshore_model::{
    Check, Environment, EnvironmentName, Operations, ReleaseFile, Removals, ServiceName, Tombstone,
};

mod mirror;

pub use mirror::MirrorSource;

/// The files of one service in one environment.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceFiles {
    pub tree: String,
    pub release: ReleaseFile,
    pub operations: Operations,
    /// Consent to take away objects that keep something.
    pub removals: Option<Removals>,
    /// What is measured once the release is healthy.
    pub checks: Vec<Check>,
    pub manifests: Vec<Manifest>,
    /// Tree id of the manifests alone, which verdicts are bound to.
    pub manifests_tree: String,
}

/// One file of released bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    pub path: String,
    pub text: String,
}

/// An environment at one commit.
#[derive(Debug, Clone, PartialEq)]
pub struct EnvironmentFiles {
    pub environment: Environment,
    /// Tree id of each service's folder; the same id means the same content.
    pub services: BTreeMap<ServiceName, String>,
    /// Services that were ended on purpose.
    pub retired: BTreeMap<ServiceName, Tombstone>,
}

/// Why the desired state could not be read; never the same as an empty one.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It may work later.
    #[error("cannot reach the config repository")]
    Unreachable {
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// History was rewritten or replaced: nothing more is taken from it.
    #[error("the config repository is frozen: {why}")]
    Frozen { why: String },
    #[error("cannot read {what} at commit `{commit}`")]
    Unreadable {
        what: String,
        commit: String,
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The config repository as the agent sees it.
#[async_trait]
pub trait Source: std::fmt::Debug + Send + Sync + 'static {
    /// Brings what is new and returns the commit at the tip.
    async fn fetch(&self) -> Result<String, SourceError>;

    /// Returns the last commit that was brought, without asking anybody.
    async fn tip(&self) -> Result<Option<String>, SourceError>;

    async fn environment(
        &self,
        commit: &str,
        environment: &EnvironmentName,
    ) -> Result<EnvironmentFiles, SourceError>;

    async fn service(
        &self,
        commit: &str,
        environment: &EnvironmentName,
        service: &ServiceName,
    ) -> Result<ServiceFiles, SourceError>;
}
