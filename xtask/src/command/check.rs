//! `check`: the quick subset of `test`, for before each commit.

use std::process::ExitCode;

use anyhow::Result;

use crate::{gates::Gates, shell};

/// Check formatting, lints and the rules of the house; quick
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

pub(crate) fn run(_: &Arguments) -> ExitCode {
    let mut gates = Gates::default();
    gates.gate("format", format);
    gates.gate("lints", lints);
    gates.gate("rules of the house", || {
        shell::run(shell::cargo().args(["test", "--quiet", "--package", "xtask"]))
    });
    if gates.conclude() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

pub(super) fn format() -> Result<()> {
    shell::run(shell::cargo().args(["fmt", "--all", "--", "--check", "-l"]))
}

pub(super) fn lints() -> Result<()> {
    shell::run(shell::cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--quiet",
        "--",
        "--deny",
        "warnings",
    ]))
}
