//! `tools`: what the other commands would build when they need it.

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    terminal,
    tools::{self, Cache},
};

/// Build kubectl, helm and the real control plane, and print where they are
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

pub(crate) fn run(_: &Arguments) -> Result<ExitCode> {
    let cache = Cache::locate()?;
    tools::ensure_packages()?;
    tools::oracle(&cache)?;
    terminal::line(&cache.programs().display().to_string());
    Ok(ExitCode::SUCCESS)
}
