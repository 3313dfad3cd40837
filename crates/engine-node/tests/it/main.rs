//! The one integration test binary of `engine-node`: nodes on a real control plane.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod faults;
mod fixture;
mod lifecycle;
mod logs;
mod sandbox;
mod simulated;
