//! Runs pods on this machine and reports their state.

mod addresses;
mod capability;
mod container;
mod context;
mod events;
mod folders;
mod groups;
mod images;
mod kubelet;
mod logs;
mod node;
mod options;
mod pod;
mod prepare;
mod probing;
mod shim;
mod sources;
mod start;
mod usage;
mod worker;

pub use capability::{RuntimeReport, probe};
pub use groups::name_of as control_group;
pub use kubelet::KubeletError;
pub use node::{LeftoverError, Node, NodeError, remove_everything, stop_everything};
pub use options::{Capacity, CapacityError, ImageLimits, Options, RuntimeKind};
pub use shim::pod_shim_main;
