//! The server role.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use tokio_util::sync::CancellationToken;
use url::Url;

use super::RoleError;
use crate::error::ServerError;
use crate::platform::listen_at;
use crate::server::{Options, Server};

/// Serves until shutdown.
pub async fn server(
    data: PathBuf,
    address: SocketAddr,
    webhook: Option<Url>,
    shutdown: CancellationToken,
    say: impl Fn(&str),
) -> Result<(), RoleError> {
    if !address.ip().is_loopback() {
        return Err(ServerError::NotLoopback { address }.into());
    }
    let (listener, _): (TcpListener, _) = listen_at("server", address)?;
    let options = Options {
        data,
        listener,
        ingress: None,
        ground: "a cluster".to_owned(),
        webhook,
    };
    let server = Server::start(options, shutdown).await?;
    say(&format!("serving at {}", server.url()));
    Ok(server.wait().await?)
}
