//! The engine role: the embedded Kubernetes API with its controllers.

use std::path::PathBuf;

use foreshore_engine::{ServeOptions, serve};
use foreshore_sys::Ground;
use tokio_util::sync::CancellationToken;

use super::RoleError;

/// What an engine of its own process needs.
#[derive(Debug)]
pub struct EngineOptions {
    pub data: PathBuf,
    /// Appears when the API is ready.
    pub kubeconfig: PathBuf,
    pub port: u16,
    pub simulated_nodes: u8,
    /// The network namespace that pods live in, if there is one.
    pub ground: Option<PathBuf>,
}

/// Serves until shutdown.
pub async fn engine(options: EngineOptions, shutdown: CancellationToken) -> Result<(), RoleError> {
    let mut settings = ServeOptions::new(options.data.join("engine"), options.kubeconfig);
    settings.port = options.port;
    settings.simulated_nodes = options.simulated_nodes;
    settings.ground = options
        .ground
        .as_deref()
        .map(Ground::open_or_create)
        .transpose()?;
    Ok(serve(settings, shutdown).await?)
}
