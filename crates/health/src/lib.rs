//! What state a Kubernetes object is in, and why.
//!
//! [`assess()`] looks at one object and at the objects around it (its pods,
//! replica sets, services), all given as values; [`aggregate`] folds the
//! answers of one service into one. The crate reads no clock and does no IO.

mod assess;
mod class;
mod job;
mod network;
mod object;
mod options;
mod pod;
mod policy;
mod state;
mod storage;
mod workload;

#[cfg(test)]
mod tests;

pub use assess::{Context, Related, assess};
pub use foreshore_model::outcome::Cause;
pub use options::Options;
pub use state::{CAUSES_MAX, Health, State, aggregate};
