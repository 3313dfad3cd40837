//! Logs of the roles that run in this process: to standard error, for people or for programs.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

use crate::arguments::Global;

/// Starts logging: warnings by default, more with `-v`; `FORESHORE_LOG` chooses by module.
#[expect(
    clippy::disallowed_methods,
    reason = "only `cli` and `server` read the environment"
)]
pub(crate) fn start(global: &Global) {
    let usual = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "info",
        (false, _) => "foreshore=debug,info",
    };
    let filter = std::env::var("FORESHORE_LOG").unwrap_or_else(|_| usual.to_owned());
    let started = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .try_init();
    // A second subscriber changes nothing: the first one goes on.
    drop(started);
}
