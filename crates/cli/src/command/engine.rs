//! `foreshore engine`: the embedded Kubernetes API by itself.

mod support;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use foreshore_model::ExitCode;
use foreshore_server::roles;
use tokio_util::sync::CancellationToken;

use super::roles::stopped_by_signal;
use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::Outcome;

/// The embedded Kubernetes API by itself
#[derive(Debug, Subcommand)]
pub(crate) enum EngineCommand {
    Serve(ServeArgs),
    Support(support::SupportArgs),
}

/// Serve the embedded Kubernetes API until interrupted
///
/// One machine, loopback only, no availability promise: for laptop, CI and
/// rehearsal. The kubeconfig file appears when the API is ready.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Kubeconfig to write when ready
    #[arg(long, value_name = "FILE")]
    kubeconfig: PathBuf,

    /// Port to listen on; 0 for any
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    port: u16,

    /// Virtual nodes whose pods only say that they run
    #[arg(long, default_value_t = 0, value_name = "N")]
    simulated_nodes: u8,

    /// Network namespace of the ground that the API is to be reached from
    #[arg(long, value_name = "FILE")]
    ground: Option<PathBuf>,
}

pub(crate) async fn run(command: EngineCommand, context: &Context) -> Result<Outcome, Failure> {
    let args = match command {
        EngineCommand::Serve(args) => args,
        EngineCommand::Support(args) => return support::run(&args),
    };
    let shutdown = CancellationToken::new();
    let signals = tokio::spawn(stopped_by_signal(shutdown.clone()));
    let options = roles::EngineOptions {
        data: context.data()?,
        kubeconfig: args.kubeconfig,
        port: args.port,
        simulated_nodes: args.simulated_nodes,
        ground: args.ground,
    };
    let ended = roles::engine(options, shutdown).await;
    signals.abort();
    ended.map_err(|error| Failure::from_error(error.exit_code(), &error))?;
    Ok(Outcome::with_status(ExitCode::Done.code()))
}
