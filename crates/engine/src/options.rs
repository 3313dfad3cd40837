//! What an engine is started with.

use std::net::TcpListener;
use std::path::PathBuf;

use foreshore_engine_store::Durability;
use foreshore_sys::Ground;

/// Where the objects live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// On disk under the data folder.
    Disk(Durability),
    /// Nowhere else: for tests and throw-away clusters.
    Memory,
}

/// How an engine is started.
#[derive(Debug)]
pub struct Options {
    /// Keys and, unless kept in memory, all objects live under here. One
    /// engine at a time.
    pub data: PathBuf,
    /// Where clients of this machine connect; on the loopback address. The
    /// first is the one kubeconfigs name.
    pub listeners: Vec<TcpListener>,
    /// Written when the API answers, removed at the end; one left by an engine
    /// that was killed is removed first, so that it is there only while
    /// somebody answers.
    pub kubeconfig: Option<PathBuf>,
    pub storage: Storage,
    /// With a ground, the API also answers inside it at the address of the
    /// Service `kubernetes`, and reaches the endpoints of nodes there.
    pub ground: Option<Ground>,
    /// Virtual nodes whose pods only seem to run.
    pub simulated_nodes: u8,
}

impl Options {
    pub fn new(data: PathBuf, listener: TcpListener) -> Self {
        Self {
            data,
            listeners: vec![listener],
            kubeconfig: None,
            storage: Storage::Disk(Durability::Strict),
            ground: None,
            simulated_nodes: 0,
        }
    }
}
