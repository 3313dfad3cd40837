//! Nouns and file formats everyone shares, and their validation.
//!
//! The crate does no IO: it turns text into values and values into text.

pub mod api;
pub mod artifact;
pub mod chain;
pub mod check;
pub mod clock;
pub mod config;
pub mod digest;
pub mod exit;
pub mod freeze;
pub mod lock;
pub mod name;
pub mod nearest;
pub mod operations;
pub mod outcome;
pub mod own_registry;
pub mod person;
pub mod plan;
pub mod release;
pub mod schema;
pub mod secret_name;
pub mod service;
pub mod shuttle;
pub mod yaml;

pub use artifact::{ArtifactId, ArtifactRecord};
pub use chain::chain;
pub use check::{Check, Scenario};
pub use config::{Environment, Hold, Policy, Removals, Tombstone};
pub use digest::Digest;
pub use exit::ExitCode;
pub use freeze::Freeze;
pub use lock::Lock;
pub use name::{
    EnvironmentName, FreezeName, NameError, NodeName, PolicyName, ServiceName, SiteName,
};
pub use nearest::nearest;
pub use operations::Operations;
pub use outcome::{Outcome, Phase};
pub use own_registry::OWN_REGISTRY;
pub use person::Actor;
pub use plan::{Plan, PlanFile};
pub use release::{Intent, ReleaseFile, Verdict};
pub use secret_name::{SecretName, SecretNameError};
pub use service::ServiceFile;
