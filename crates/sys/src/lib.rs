//! Namespaces, control groups, mounts, signals: the one crate with unsafe code.
//!
//! [`Ground`] is the network namespace everything of one ground lives in. The
//! rest are thin, typed wrappers over what the kernel offers and the standard
//! library does not. Nothing here knows about pods or Kubernetes.

mod census;
pub mod cgroup;
pub mod credentials;
mod disk;
mod ground;
mod hooks;
mod limits;
pub mod mount;
mod process;
mod stdio;
mod terminal;

pub use census::{Census, usage_of_machine};
pub use disk::{sync_directory, sync_filesystem};
pub use ground::{Ground, GroundError, enter_pinned};
pub use hooks::{before_exec, close_inherited, detach, die_with_parent};
pub use limits::{forbid_core_files, raise_open_files};
pub use process::{
    Identity, Process, Signal, become_subreaper, children, new_session, signal_child, start_time,
};
pub use stdio::end_stdout;
pub use terminal::{Terminal, take_terminal};
