//! The agent against a Kubernetes API, with pods whose fate the test decides.
#![expect(
    clippy::unwrap_used,
    reason = "a helper that cannot go on fails its test"
)]

mod cluster;
mod faults;
mod kill;
mod nodes;
mod reporting;
mod repository;
mod rollouts;
mod scene;
mod wire;
