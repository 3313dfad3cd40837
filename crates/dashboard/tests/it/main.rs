//! The pages as a browser meets them: over the router, with a cluster and a server of the tests' own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod acting;
mod cluster;
mod exports;
mod faults;
mod hostile;
mod loads;
mod login;
mod pages;
mod security;
mod server;
mod stage;
