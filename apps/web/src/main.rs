//! Sample web front: a page that counts its visits through the api.

mod api;
mod http;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::api::Api;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let port = variable("PORT")
        .map_or(Ok(8080), |port| port.parse())
        .context("PORT is not a port")?;
    // A pod binds its own address, so that many pods can share one machine.
    let host: IpAddr = match variable("POD_IP") {
        Some(host) => host.parse().context("POD_IP is not an address")?,
        None => Ipv4Addr::LOCALHOST.into(),
    };
    let url = variable("API_URL").context("API_URL is not set")?;
    let api = Api::new(&url).with_context(|| format!("cannot use API_URL `{url}`"))?;

    let address = SocketAddr::new(host, port);
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    tracing::info!(%address, "listening");
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    axum::serve(
        listener,
        http::router(Arc::new(http::Service {
            api,
            version: variable("SERVICE_VERSION"),
        })),
    )
    .with_graceful_shutdown(async move {
        terminate.recv().await;
    })
    .await
    .context("the server ended")
}

#[expect(
    clippy::disallowed_methods,
    reason = "the platform hands settings in as variables, here and only here"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
