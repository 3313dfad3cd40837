//! What the people who build Foreshore run: `cargo xtask COMMAND`.
//!
//! It depends on nothing of the project, so it still runs when a crate does
//! not compile, and starts quickly on a fresh clone.

mod command;
mod gates;
mod generated;
mod repository;
mod shell;
mod terminal;
mod test_run;
mod tidy;
mod tools;

use std::process::ExitCode;

use clap::Parser;

use crate::command::Command;

/// Check, test, measure and generate
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    match Arguments::parse().command.run() {
        Ok(code) => code,
        Err(error) => {
            terminal::error(&error);
            ExitCode::FAILURE
        }
    }
}
