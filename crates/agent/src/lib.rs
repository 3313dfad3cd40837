//! Brings one cluster to what the config repository says.
//!
//! [`Agent`] pulls the config repository, hands every service of its
//! environments to a worker of its own, and reports what becomes of each
//! release. It keeps nothing of its own: after a kill it finds everything
//! again in git, in the inventories and in the cluster.

mod agent;
mod checks;
mod dependencies;
mod desired;
mod herald;
mod hints;
mod hooks;
pub mod install;
mod leader;
mod lease;
mod options;
mod order;
mod phase;
mod previews;
mod report;
mod rounds;
mod secrets;
mod server;
mod source;
mod standings;
mod steps;
mod supply;
mod watches;
mod worker;
mod world;

#[cfg(test)]
mod fixture;

pub use agent::{Agent, Handle, OptionsError};
pub use checks::{CONTRACT, CheckOptions};
pub use desired::{Desired, DesiredError, desired};
pub use foreshore_git::{Credential, Signer};
pub use foreshore_secret::Key;
pub use hooks::{Hook, HookError, Moment};
pub use lease::Terms;
pub use options::{Options, ServerOptions};
pub use rounds::seats::LeaseOptions;
pub use source::{EnvironmentFiles, Manifest, MirrorSource, ServiceFiles, Source, SourceError};
pub use steps::{Refusal, Stage, Step, prune_steps, release_steps, retire_steps};
pub use supply::{Supply, SupplyOptions, SupplyOptionsError, Trust};
