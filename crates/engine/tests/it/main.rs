//! A whole engine per test, in memory unless the test is about restarts.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod autoscaling;
mod batch;
mod kubelet;
mod lifecycle;
mod network;
mod scheduling;
mod serving;
mod workloads;
mod world;
