//! Ends and removes what nobody asks for any more.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::time::Duration;

use crate::container::{self, Outcome};
use crate::context::{Context, describe};
use crate::folders::{PodFolder, known_pods};
use crate::options::RuntimeKind;

/// How long a killed container may take to end.
const LIMIT: Duration = Duration::from_secs(10);

/// Why something of a node is left behind.
#[derive(Debug, thiserror::Error)]
pub enum LeftoverError {
    #[error("cannot remove `{path}`")]
    Folder {
        path: std::path::PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("containers in `{path}` did not end: {problem}")]
    Container {
        path: std::path::PathBuf,
        problem: String,
    },
}

/// Ends all containers that a node keeps in `root` and removes its state.
///
/// For `down`: the node itself must not run any more.
pub async fn remove_everything(root: &Path) -> Result<(), LeftoverError> {
    for pod in known_pods(root) {
        remove(&pod).await?;
    }
    match std::fs::remove_dir_all(root) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(LeftoverError::Folder {
            path: root.to_path_buf(),
            source,
        }),
        _ => Ok(()),
    }
}

/// Removes pods of an earlier run that the API no longer has.
pub(super) async fn remove_unknown(context: &Context, listed: &HashSet<String>) {
    if context.options.runtime == RuntimeKind::Simulated {
        return;
    }
    for pod in known_pods(&context.options.root) {
        let Some(uid) = pod
            .path()
            .file_name()
            .and_then(|name| name.to_str())
            .map(str::to_owned)
        else {
            continue;
        };
        if listed.contains(&uid) {
            continue;
        }
        match remove(&pod).await {
            Ok(()) => tracing::info!(uid, "leftovers of a pod removed"),
            Err(error) => tracing::warn!(error = describe(&error), uid, "leftovers of a pod stay"),
        }
        if let Err(error) = context.addresses.release(&uid) {
            tracing::warn!(
                error = describe(&error),
                uid,
                "address of a pod stays taken"
            );
        }
    }
}

async fn remove(pod: &PodFolder) -> Result<(), LeftoverError> {
    let failed = |problem: String| LeftoverError::Container {
        path: pod.path().to_path_buf(),
        problem,
    };
    for attempt in pod.attempts() {
        match container::find(&attempt)
            .await
            .map_err(|error| failed(describe(&error)))?
        {
            Outcome::Running(running) => {
                running.kill().map_err(|error| failed(describe(&error)))?;
                match tokio::time::timeout(LIMIT, running.ended()).await {
                    Ok(ended) => drop(ended.map_err(|error| failed(describe(&error)))?),
                    Err(_elapsed) => {
                        return Err(failed(format!("killed, but still there after {LIMIT:?}")));
                    }
                }
            }
            Outcome::Ended(..) | Outcome::Lost(_) => {}
        }
    }
    pod.remove().map_err(|source| LeftoverError::Folder {
        path: pod.path().to_path_buf(),
        source,
    })
}
