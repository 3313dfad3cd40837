//! Which release is allowed, what it changes, what a promotion or rollback means.
//!
//! Everything here is a function from a [`World`] and a wish to a [`Decision`]:
//! no clock, no IO. A refusal is a result with words and hints, not an error.

mod approve;
mod arrival;
mod commit;
mod decide;
mod hold;
mod pattern;
mod refusal;
mod select;
mod terms;
mod world;

pub use approve::{approve, unknown_request};
pub use arrival::{Arrival, arrival};
pub use commit::{Commit, Decision, Proposal, Step, TRAILER_KEY, service_directory};
pub use decide::{Wish, decide};
pub use hold::{hold, lift};
pub use pattern::matches;
pub use refusal::Refusal;
pub use select::{Selected, select};
pub use terms::{Term, terms};
pub use world::{Candidate, Place, Verified, World};
