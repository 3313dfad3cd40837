//! The arguments every command shares.

use std::path::PathBuf;

use clap::{Args, Parser, ValueEnum};

use crate::command::Command;

/// The production platform for services on Kubernetes
///
/// Starts on a laptop with `foreshore up`; works on the clusters, git host and
/// registry a company already has.
#[derive(Debug, Parser)]
#[command(
    name = "foreshore",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// Directory that holds the platform's state
    #[arg(long, global = true, env = "FORESHORE_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,

    /// Address of the server, instead of the one that runs from the data directory
    #[arg(long, global = true, env = "FORESHORE_SERVER", value_name = "URL")]
    pub(crate) server: Option<String>,

    /// Token to present to the server
    #[arg(
        long,
        global = true,
        env = "FORESHORE_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true
    )]
    pub(crate) token: Option<String>,

    /// Local identity to act as, one of the credentials in the data directory
    #[arg(
        long = "as",
        global = true,
        env = "FORESHORE_AS",
        value_name = "NAME",
        default_value = "owner"
    )]
    pub(crate) identity: String,

    /// Form of the answer on standard output
    #[arg(short, long, global = true, value_enum, default_value = "table")]
    pub(crate) output: Output,

    /// When to use colour
    #[arg(long, global = true, value_enum, default_value = "auto")]
    pub(crate) color: Color,

    /// Say nothing but the answer and errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,

    /// Say more; twice for every detail
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Table,
    Json,
    Yaml,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}
