//! The one integration test binary of `sys`: real namespaces, real processes.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod cgroup;
mod ground;
mod process;
mod terminal;
