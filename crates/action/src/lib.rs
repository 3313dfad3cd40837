//! Runs actions: arguments, environment, output, exit code.
//!
//! An action is a program with its arguments, already filled in by `render`.
//! It sees the terminal of whoever started it, and of the environment only
//! what a build needs; tokens of ours are never among it.

mod environment;
mod run;

pub use environment::passed_on;
pub use run::{ActionError, Ended, Options, run};
