//! A whole engine per test, in memory unless the test is about restarts.

mod kubelet;
mod lifecycle;
mod scheduling;
mod serving;
mod workloads;
mod world;
