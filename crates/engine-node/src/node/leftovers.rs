//! Ends and removes what nobody asks for any more.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::time::Duration;

use foreshore_model::chain;

use crate::container::{self, Outcome, RunningContainer};
use crate::context::Context;
use crate::folders::{PodFolder, known_pods};
use crate::groups::Groups;
use crate::options::RuntimeKind;

/// How long a killed container may take to end.
const LIMIT: Duration = Duration::from_secs(30);

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
/// The node itself must not run any more.
pub async fn remove_everything(root: &Path) -> Result<(), LeftoverError> {
    for pod in known_pods(root) {
        remove(&pod).await?;
    }
    Groups::of_earlier_run(root).end_all().await;
    match std::fs::remove_dir_all(root) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(LeftoverError::Folder {
            path: root.to_path_buf(),
            source,
        }),
        _ => Ok(()),
    }
}

/// Ends all containers that a node keeps in `root`, each within its pod's
/// grace period, and leaves volumes and records where they are: the next run
/// of the node starts the pods again.
///
/// The node itself must not run any more, or it would do so at once.
pub async fn stop_everything(root: &Path) -> Result<(), LeftoverError> {
    let pods = known_pods(root);
    let stops = pods.iter().map(|pod| async move {
        let grace = match pod.record() {
            Ok(Some(record)) => u64::try_from(record.grace_seconds).unwrap_or(0),
            // Nobody knows what it may take, so it gets what pods usually get.
            Ok(None) | Err(_) => 30,
        };
        end_containers(pod, Duration::from_secs(grace)).await
    });
    let stopped = futures::future::join_all(stops).await;
    for pod in &pods {
        pod.unmount().map_err(|source| LeftoverError::Folder {
            path: pod.path().to_path_buf(),
            source,
        })?;
    }
    Groups::of_earlier_run(root).end_all().await;
    stopped.into_iter().collect()
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
            Err(error) => tracing::warn!(error = chain(&error), uid, "leftovers of a pod stay"),
        }
        if let Err(error) = context.addresses.release(&uid) {
            tracing::warn!(error = chain(&error), uid, "address of a pod stays taken");
        }
    }
    context.groups.end_unknown(listed).await;
}

async fn remove(pod: &PodFolder) -> Result<(), LeftoverError> {
    end_containers(pod, Duration::ZERO).await?;
    pod.remove().map_err(|source| LeftoverError::Folder {
        path: pod.path().to_path_buf(),
        source,
    })
}

/// Ends all containers of a pod at the same time.
async fn end_containers(pod: &PodFolder, grace: Duration) -> Result<(), LeftoverError> {
    let failed = |problem: String| LeftoverError::Container {
        path: pod.path().to_path_buf(),
        problem,
    };
    let attempts = pod.attempts();
    let ends = attempts.iter().map(|attempt| async move {
        match container::find(attempt)
            .await
            .map_err(|error| failed(chain(&error)))?
        {
            Outcome::Running(running) => end(&running, grace).await.map_err(failed),
            Outcome::Ended(..) | Outcome::Lost(_) => Ok(()),
        }
    });
    futures::future::join_all(ends).await.into_iter().collect()
}

async fn end(running: &RunningContainer, grace: Duration) -> Result<(), String> {
    if !grace.is_zero() {
        running.terminate().map_err(|error| chain(&error))?;
        if let Ok(ended) = tokio::time::timeout(grace, running.ended()).await {
            return ended.map(drop).map_err(|error| chain(&error));
        }
    }
    running.kill().map_err(|error| chain(&error))?;
    match tokio::time::timeout(LIMIT, running.ended()).await {
        Ok(ended) => ended.map(drop).map_err(|error| chain(&error)),
        Err(_elapsed) => Err(format!("killed, but still there after {LIMIT:?}")),
    }
}
