//! `foreshore server`: the server by itself.

use std::net::SocketAddr;

use clap::Args;
use foreshore_server::{Url, roles};
use tokio_util::sync::CancellationToken;

use super::roles::stopped_by_signal;
use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::Outcome;

/// Run the server: API, registry, config repository and status page
#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// Address to listen on; loopback only
    #[arg(long, default_value = "127.0.0.1:7070", value_name = "ADDRESS")]
    listen: SocketAddr,

    /// Tell this address of every change of the config repository, as JSON
    #[arg(long, env = "FORESHORE_WEBHOOK", value_name = "URL", value_parser = webhook)]
    webhook: Option<Url>,
}

/// Reads an address that messages can be posted to.
fn webhook(text: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|error| format!("{error}"))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        scheme => Err(format!(
            "`{scheme}` is no scheme of a webhook; use http or https"
        )),
    }
}

pub(crate) async fn run(args: ServerArgs, context: &Context) -> Result<Outcome, Failure> {
    let shutdown = CancellationToken::new();
    let signals = tokio::spawn(stopped_by_signal(shutdown.clone()));
    let terminal = context.terminal.clone();
    let ended = roles::server(
        context.data()?,
        args.listen,
        args.webhook,
        shutdown,
        |line| {
            terminal.say(line);
        },
    )
    .await;
    signals.abort();
    ended.map_err(|error| Failure::from_error(error.exit_code(), &error))?;
    Ok(Outcome::done())
}
