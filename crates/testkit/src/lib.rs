//! What tests share: simulated time, seeded randomness, temporary folders,
//! processes, a network that misbehaves, and real or embedded clusters.
//!
//! Only tests and `xtask` use this crate; nothing that ships depends on it.

pub mod cli;
pub mod clock;
pub mod cluster;
pub mod environment;
pub mod process;
pub mod proxy;
pub mod redact;
pub mod seed;
pub mod tempdir;
pub mod transcript;
pub mod wait;

pub use cluster::Cluster;
pub use tempdir::TempDir;
