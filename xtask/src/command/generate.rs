//! `generate`: files that are made, not written.

use std::process::ExitCode;

use anyhow::Result;

use crate::{generated, test_run, tools, tools::Cache};

/// Make the generated files anew
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only compare, and fail if a file differs
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let cache = Cache::locate()?;
    tools::ensure_packages()?;
    tools::oracle(&cache)?;
    let built = test_run::build(&["build", "--bins"])?;
    let purpose = if arguments.check {
        generated::Purpose::Compare
    } else {
        generated::Purpose::Write
    };
    generated::all(&cache, &built, purpose)?;
    Ok(ExitCode::SUCCESS)
}
