//! Runs scenarios: connections, TLS, timers, the live view, and what the target used meanwhile.
//!
//! [`run()`] carries out a bound scenario and hands back what was measured;
//! what that means is decided in `scenario`. [`check_contract`] is the
//! built-in check that every service passes after a rollout.

mod connection;
mod contract;
mod cookies;
mod endpoint;
mod error;
mod http;
mod live;
mod plan;
mod render;
mod run;
mod target;
mod timers;
mod worker;

pub use contract::{ContractError, check_contract, contract};
pub use error::RunError;
pub use live::{LiveView, progress};
pub use plan::Brake;
pub use run::{Live, Options, run};
pub use target::{Asked, Reading, TargetSource, Used};
