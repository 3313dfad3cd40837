//! Collects what a platform leaves when it ends, however it ended.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use foreshore_engine_node::{LeftoverError, stop_everything};
use foreshore_sys::{Ground, GroundError};

use super::sites;
use crate::roles;

/// Why something stays behind.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    #[error("cannot look for pods in `{path}`")]
    List {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("pods stay behind")]
    Pods(#[from] LeftoverError),
    #[error("the network namespace stays behind")]
    Ground(#[from] GroundError),
}

/// Ends the pods of every node of this directory and removes its network namespaces.
///
/// What pods have stored stays, so that the next start continues with it.
pub async fn sweep(data: &Path) -> Result<(), SweepError> {
    for home in sites::homes(data) {
        for root in node_roots(&home.join("node"))? {
            stop_everything(&root).await?;
        }
        let pin = roles::pin(&home);
        if pin.exists() {
            Ground::remove_pin(&pin)?;
        }
    }
    Ok(())
}

fn node_roots(nodes: &Path) -> Result<Vec<PathBuf>, SweepError> {
    let failed = |cause| SweepError::List {
        path: nodes.to_owned(),
        cause,
    };
    let entries = match fs::read_dir(nodes) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(failed(cause)),
    };
    entries
        .map(|entry| entry.map(|entry| entry.path()).map_err(failed))
        .collect()
}
