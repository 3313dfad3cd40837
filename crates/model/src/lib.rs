//! Nouns and file formats everyone shares, and their validation.
//!
//! The crate does no IO: it turns text into values and values into text.

pub mod api;
pub mod artifact;
pub mod clock;
pub mod config;
pub mod digest;
pub mod exit;
pub mod name;
pub mod nearest;
pub mod outcome;
pub mod person;
pub mod plan;
pub mod release;
pub mod service;
pub mod yaml;

pub use artifact::{ArtifactId, ArtifactRecord};
pub use config::{Environment, Hold, Operations, Policy};
pub use digest::Digest;
pub use exit::ExitCode;
pub use name::{EnvironmentName, NameError, NodeName, PolicyName, ServiceName, SiteName};
pub use nearest::nearest;
pub use outcome::{Outcome, Phase};
pub use person::Actor;
pub use plan::{Plan, PlanFile};
pub use release::{Intent, ReleaseFile, Verdict};
pub use service::ServiceFile;
