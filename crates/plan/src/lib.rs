//! Finds plans, and proposes a service file for a repository that has none.
//!
//! A plan is one that is shipped inside the program, or a directory. The crate
//! reads; what a plan means for a service is for `render` to say.

mod find;
mod propose;
mod shipped;

pub use find::{PlanError, find};
pub use propose::{Proposal, ProposeError, Sourced, Wishes, propose};
pub use shipped::names;
