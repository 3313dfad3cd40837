//! The commands, one file each.

mod bench;
mod check;
mod cluster;
mod dist;
mod generate;
mod soak;
mod test;
mod tools;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Bench(bench::Arguments),
    Check(check::Arguments),
    Cluster(cluster::Arguments),
    Dist(dist::Arguments),
    Generate(generate::Arguments),
    Soak(soak::Arguments),
    Test(test::Arguments),
    Tools(tools::Arguments),
}

impl Command {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        match self {
            Self::Bench(arguments) => bench::run(arguments),
            Self::Check(arguments) => Ok(check::run(arguments)),
            Self::Cluster(arguments) => cluster::run(arguments),
            Self::Dist(arguments) => dist::run(arguments),
            Self::Generate(arguments) => generate::run(arguments),
            Self::Soak(arguments) => soak::run(arguments),
            Self::Test(arguments) => test::run(arguments),
            Self::Tools(arguments) => tools::run(arguments),
        }
    }
}
