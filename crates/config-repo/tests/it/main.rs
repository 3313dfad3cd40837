//! The config repository on disk: writing, reading, following, crashing.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

mod crash;
mod fixture;
mod mirror;
mod outcomes;
mod power;
mod remote;
mod snapshot;
mod writer;
