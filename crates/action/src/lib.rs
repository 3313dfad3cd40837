//! Runs actions: arguments, environment, output, exit code.
//!
//! An action is a program with its arguments, already filled in by `render`.
//! It sees the terminal of whoever started it, and of the environment only
//! what a build needs; tokens of ours are never among it.

mod environment;
mod jail;
mod junit;
mod memory;
mod run;
mod steps;
mod stop;

pub use environment::{passed_on, whole};
pub use jail::{Confinement, Jail, JailError, enter};
pub use junit::junit;
pub use memory::{Memory, MemoryError};
pub use run::{ActionError, Ended, Input, Options, Output, run};
pub use steps::{Finished, Inputs, State, Step, run_steps};
pub use stop::Stop;
