//! Each role by itself, in the foreground of a process of its own.
//!
//! `foreshore up` runs the same roles in one process; here each can be killed
//! and started again alone.

mod agent;
mod engine;
mod error;
mod node;
mod server;
mod supply;

pub(crate) use agent::make as make_agent;
pub(crate) use agent::usual_kubeconfig;
pub use agent::{AgentOptions, CheckPlace, agent, prepare_agent};
pub use engine::{EngineOptions, engine};
pub use error::RoleError;
pub(crate) use node::choose as choose_runtime;
pub(crate) use node::run as run_node;
pub use node::{NodeOptions, node};
pub(crate) use node::{NodeParts, own_ground, pin};
pub use server::{ClusterFile, ServerRole, server};
pub use supply::SupplyChoice;
