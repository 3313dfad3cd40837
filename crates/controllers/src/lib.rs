//! What a Deployment, `ReplicaSet`, Service … asks for: objects in, object
//! changes out.
//!
//! Every controller is one function `decide(inputs, now) -> Vec<Change>` over
//! a snapshot that may be stale. Nothing here reads a clock, draws a random
//! number or talks to an API; the engine feeds the snapshots and carries the
//! changes out in order, stopping at the first that is refused.

pub mod autoscaler;
mod bounds;
mod change;
mod claim;
pub mod cron_job;
pub mod daemon_set;
pub mod deployment;
pub mod disruption;
pub mod endpoints;
pub mod garbage;
pub mod job;
pub mod namespace;
pub mod node_lifecycle;
mod ownership;
mod pod;
pub mod replica_set;
mod revision;
mod selector;
pub mod service_account;
mod short_hash;
#[cfg(test)]
mod simulation;
pub mod stateful_set;
mod template;
pub mod volume;

pub use foreshore_scheduler::quantity_milli;

pub use change::{Change, EventKind, Kind, Part, Propagation, Target};
pub use ownership::{controller_of, controller_reference};
pub use pod::{is_active as pod_is_active, is_ready as pod_is_ready};
pub use selector::{matches as selector_matches, matches_map as selector_map_matches};
