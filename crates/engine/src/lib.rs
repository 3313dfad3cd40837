//! Assembles store, API, controllers, scheduler and simulated nodes into one
//! in-process cluster for one machine.
//!
//! [`Engine::start`] for whoever hosts it beside other roles, [`serve()`] for a
//! process that is nothing else. The control loops alone run against any
//! Kubernetes API.

pub mod control;
mod engine;
mod error;
mod inside;
mod options;
mod serve;
mod simulated;

pub use engine::{Engine, Handle};
pub use error::EngineError;
pub use foreshore_engine_store::Durability;
pub use options::{Options, Storage};
pub use serve::{ServeOptions, listen, serve};
