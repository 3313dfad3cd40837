//! An engine that is a process of its own.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use foreshore_sys::Ground;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::options::{Options, Storage};

/// What `foreshore engine serve` is told.
#[derive(Debug)]
pub struct ServeOptions {
    pub data: PathBuf,
    /// Written when the API answers, removed at the end.
    pub kubeconfig: PathBuf,
    /// Port on the loopback address; 0 takes a free one.
    pub port: u16,
    pub storage: Storage,
    pub simulated_nodes: u8,
    pub ground: Option<Ground>,
}

impl ServeOptions {
    pub fn new(data: PathBuf, kubeconfig: PathBuf) -> Self {
        Self {
            data,
            kubeconfig,
            port: 0,
            storage: Storage::Disk(crate::Durability::Strict),
            simulated_nodes: 0,
            ground: None,
        }
    }
}

/// Runs an engine in the foreground until `shutdown`.
pub async fn serve(options: ServeOptions, shutdown: CancellationToken) -> Result<(), EngineError> {
    let listener = listen(&options.data, options.port)?;
    let options = Options {
        kubeconfig: Some(options.kubeconfig),
        storage: options.storage,
        ground: options.ground,
        simulated_nodes: options.simulated_nodes,
        ..Options::new(options.data, listener)
    };
    Engine::start(options, shutdown).await?.wait().await
}

/// Opens the API's listener on the loopback address.
///
/// With port 0 it takes the port of the last time, if that is free: kubeconfigs
/// handed out then stay valid over a restart.
pub fn listen(data: &Path, port: u16) -> Result<TcpListener, EngineError> {
    let folder = data.join("engine");
    let failed = |cause| EngineError::Data {
        path: folder.clone(),
        cause,
    };
    std::fs::create_dir_all(&folder).map_err(failed)?;
    let note = folder.join("port");
    let bind = |port| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        TcpListener::bind(address).map_err(|cause| EngineError::Listen { address, cause })
    };
    // A note that is missing or damaged only costs the old port.
    let known = std::fs::read_to_string(&note)
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let listener = match (port, known) {
        (0, Some(known)) => bind(known).or_else(|_taken| bind(0))?,
        (port, _) => bind(port)?,
    };
    let bound = listener.local_addr().map_err(EngineError::Listener)?.port();
    if known != Some(bound) {
        std::fs::write(&note, bound.to_string()).map_err(failed)?;
    }
    Ok(listener)
}
