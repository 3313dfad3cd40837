//! The API as its clients see it: raw requests, kube clients, kubectl.

#![expect(
    clippy::unwrap_used,
    clippy::similar_names,
    reason = "a test ends where an answer is not what it must be; `path` and `patch` are both whole words"
)]

mod access;
mod api;
mod custom;
mod disruption;
mod exec;
mod full;
mod ground;
mod hostile;
mod kinds;
mod kubectl;
mod lists;
mod logs;
mod pods;
mod services;
mod usage;
mod watch_checks;
mod watches;
mod writes;
