//! Runs pods on this machine and reports their state.

mod options;
mod pod;
mod shim;

pub use options::{Capacity, Options, RuntimeKind};
pub use shim::pod_shim_main;
