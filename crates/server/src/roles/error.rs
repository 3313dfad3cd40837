//! Why a role could not start or go on.

use std::io;
use std::path::PathBuf;

use foreshore_agent::{OptionsError, SupplyOptionsError};
use foreshore_cluster::ConnectError;
use foreshore_config_repo::MirrorError;
use foreshore_engine::EngineError;
use foreshore_engine_node::NodeError;
use foreshore_image::StoreError;
use foreshore_model::ExitCode;
use foreshore_sys::GroundError;

use crate::error::ServerError;
use crate::platform::PortError;

/// Why a role could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error("cannot run the embedded Kubernetes API")]
    Engine(#[from] EngineError),
    #[error("cannot run the node")]
    Node(#[from] NodeError),
    #[error("cannot run the service network")]
    Net(#[source] io::Error),
    #[error("cannot run the agent")]
    Agent(#[from] OptionsError),
    #[error(transparent)]
    Supply(#[from] SupplyOptionsError),
    #[error("cannot open the copy of the config repository")]
    Mirror(#[from] MirrorError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("cannot make the ground")]
    Ground(#[from] GroundError),
    #[error("cannot open the image store")]
    Images(#[from] StoreError),
    #[error(transparent)]
    Port(#[from] PortError),
    #[error("cannot use the directory `{path}`")]
    Directory {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("`{url}` is not the address of a server")]
    Url { url: String },
    #[error("cannot find a kubeconfig: neither KUBECONFIG nor a home directory is set")]
    NoKubeconfig,
}

impl RoleError {
    /// How a command ends that fails with this.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Port(_)
            | Self::Url { .. }
            | Self::Connect(_)
            | Self::NoKubeconfig
            | Self::Supply(_)
            | Self::Server(
                ServerError::NotLoopback { .. } | ServerError::NobodyCanLogIn | ServerError::Tls(_),
            ) => ExitCode::Usage,
            Self::Node(NodeError::Taken(_)) => ExitCode::Conflict,
            _ => ExitCode::Failed,
        }
    }

    /// What to type next.
    pub fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Port(PortError::Taken { .. }) => {
                "choose another port (`foreshore up --help`); 0 takes any free one"
            }
            Self::Ground(_) => {
                "run it as root, use a cluster you have (`foreshore up --context NAME`), or see all of it without pods: `foreshore up --runtime simulated`"
            }
            Self::Server(ServerError::NotLoopback { .. }) => {
                "for other machines give `--public ADDRESS --certificate FILE --key FILE`, and make a user with `foreshore user add NAME`"
            }
            Self::Server(ServerError::NobodyCanLogIn) => {
                "make one with `foreshore user add NAME --role admin`, with the same `--data`"
            }
            Self::Connect(_) | Self::NoKubeconfig => {
                "`kubectl config get-contexts` shows the contexts there are"
            }
            // Whoever starts git says so, however deep it is.
            _ if foreshore_model::chain(self).contains("is git installed?") => {
                "install git: `apt install git`, `dnf install git` or `apk add git`"
            }
            _ => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}
