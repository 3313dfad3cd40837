//! Which release is allowed, what it changes, what a promotion or rollback means.
//!
//! Everything here is a function from a [`World`] and a wish to a [`Decision`]:
//! no clock, no IO. A refusal is a result with words and hints, not an error.

mod approve;
mod arrival;
mod commit;
mod decide;
mod difference;
mod freeze;
mod hold;
mod operate;
mod pattern;
mod policy;
mod recover;
mod refusal;
mod retire;
mod select;
mod terms;
mod world;

pub use approve::{approve, granted, unknown_request};
pub use arrival::{Arrival, arrival};
pub use commit::{Commit, Decision, Proposal, Step, TRAILER_KEY, service_directory};
pub use decide::{Wish, approvals_needed, decide};
pub use difference::{difference, unified};
pub use freeze::{Freezing, freeze, freezing, is_open, lift_freeze};
pub use hold::{hold, lift};
pub use operate::{Operated, Operation, REPLICAS_MAX, Workload, operate, operated, workloads};
pub use pattern::{matches, overlap};
pub use policy::{apply_policy, contradiction, cycle, delete_policy};
pub use recover::{Recovery, recovery};
pub use refusal::Refusal;
pub use retire::{Retirement, confirm_removals, retire, tombstone};
pub use select::{Selected, select};
pub use terms::{Term, terms};
pub use world::{Candidate, Place, Verified, World};
