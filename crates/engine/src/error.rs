//! Why an engine did not start, or ended.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use foreshore_engine_api::{KubeconfigError, PkiError};
use foreshore_engine_node::NodeError;
use foreshore_engine_store::OpenError;

use crate::control::ControlError;

/// Why an engine did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("cannot use the data folder `{path}`")]
    Data {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("cannot open the store")]
    Store(#[from] OpenError),
    #[error("cannot prepare keys and certificates")]
    Keys(#[from] PkiError),
    #[error("cannot start the API")]
    Api(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("cannot listen on `{address}`")]
    Listen {
        address: SocketAddr,
        #[source]
        cause: io::Error,
    },
    #[error("cannot use the listener handed in")]
    Listener(#[source] io::Error),
    #[error("an engine needs a listener")]
    NoListener,
    #[error("cannot remove the kubeconfig `{path}`")]
    Forget {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("the API ended")]
    Serve(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the control loops ended")]
    Control(#[from] ControlError),
    #[error("cannot write the kubeconfig")]
    Kubeconfig(#[from] KubeconfigError),
    #[error("cannot start simulated nodes")]
    Simulated(#[source] NodeError),
    #[error("cannot open the image store of simulated nodes")]
    Images(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("a part of the engine panicked")]
    Panicked(#[source] tokio::task::JoinError),
}
