//! Namespaces, mounts, signals: the one crate with unsafe code.
//!
//! [`Ground`] is the network namespace everything of one ground lives in. The
//! rest are thin, typed wrappers over what the kernel offers and the standard
//! library does not. Nothing here knows about pods or Kubernetes.

mod ground;

pub use ground::{Ground, GroundError};
