//! `foreshore serve-files`: what runs in the pod of a `static-site`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use foreshore_files::{Options, Site};
use foreshore_model::ExitCode;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::roles::stopped_by_signal;
use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::Outcome;

/// Serve a directory of files
///
/// Runs in the pods of the plan `static-site`; address and port come from the
/// environment that the plan gives them.
#[derive(Debug, Args)]
pub(crate) struct ServeFilesArgs {
    /// Directory to serve
    directory: PathBuf,

    /// Address to listen at
    #[arg(long, env = "POD_IP", value_name = "ADDRESS")]
    address: Option<IpAddr>,

    /// Port to listen at
    #[arg(long, env = "PORT", default_value_t = 8080)]
    port: u16,

    /// Path that answers 200
    #[arg(
        long,
        env = "HEALTH_PATH",
        default_value = "/health",
        value_name = "PATH"
    )]
    health_path: String,

    /// Version that `/info` tells
    #[arg(
        long,
        env = "SERVICE_VERSION",
        default_value = "",
        value_name = "VERSION"
    )]
    service_version: String,
}

pub(crate) async fn run(args: ServeFilesArgs, context: &Context) -> Result<Outcome, Failure> {
    let site = Site::read(&args.directory)
        .map_err(|error| Failure::from_error(ExitCode::Usage, &error))?;
    let address = args.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let address = SocketAddr::new(address, args.port);
    let failed = |error: std::io::Error| {
        Failure::new(
            ExitCode::Failed,
            format!("cannot serve at {address}: {error}"),
        )
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    context
        .terminal
        .say(&format!("serving {} files at {address}", site.len()));
    let shutdown = CancellationToken::new();
    let signals = tokio::spawn(stopped_by_signal(shutdown.clone()));
    let options = Options {
        site,
        health_path: args.health_path,
        version: args.service_version,
    };
    let served = foreshore_files::serve(listener, options, shutdown).await;
    signals.abort();
    served.map_err(failed)?;
    Ok(Outcome::with_status(0))
}
