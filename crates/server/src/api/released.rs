//! Released files, read from the config repository on a thread that may block.

use std::collections::BTreeMap;

use foreshore_config_repo::{ReadError, Snapshot};
use foreshore_git::{ObjectId, Repository};
use foreshore_model::{EnvironmentName, ExitCode, ReleaseFile, ServiceName};

use crate::problem::Problem;
use crate::state::State;

/// Files of a release by name.
pub(crate) type Files = BTreeMap<String, String>;

/// Returns the files that a service has in an environment now.
pub(crate) async fn released_files(
    state: &State,
    place: &(EnvironmentName, ServiceName),
) -> Result<Files, Problem> {
    let snapshot = state.writer.current().snapshot;
    let place = place.clone();
    blocking(move || files(&snapshot, &place)).await
}

/// Returns the files and the release that a service had in an environment at a commit.
pub(crate) async fn released_at(
    state: &State,
    commit: &str,
    place: &(EnvironmentName, ServiceName),
) -> Result<(Files, ReleaseFile), Problem> {
    let repository = repository(state);
    let id: ObjectId = commit.parse().map_err(|_| {
        Problem::new(
            ExitCode::Usage,
            "bad-request",
            format!("`{commit}` is no commit"),
        )
    })?;
    let place = place.clone();
    blocking(move || {
        let snapshot = Snapshot::read(&repository, &id, None)?;
        let folder = snapshot.service(&place.0, &place.1)?;
        Ok::<_, ReadError>((files(&snapshot, &place)?, folder.release))
    })
    .await
}

pub(crate) fn repository(state: &State) -> Repository {
    state.writer.current().snapshot.repository().clone()
}

fn files(
    snapshot: &Snapshot,
    (environment, service): &(EnvironmentName, ServiceName),
) -> Result<Files, ReadError> {
    let folder = snapshot.service(environment, service)?;
    let named = folder.manifests.into_iter().map(|manifest| {
        let name = manifest.path.rsplit_once('/');
        let name = name.map_or(manifest.path.as_str(), |(_, name)| name);
        (name.to_owned(), manifest.text)
    });
    Ok(named.collect())
}

/// Runs what reads from the disk where it holds nobody up.
pub(crate) async fn blocking<T: Send + 'static, E: std::error::Error + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Problem::internal(
            "cannot read the config repository",
            &error,
        )),
        Err(error) => Err(Problem::internal(
            "cannot read the config repository",
            &error,
        )),
    }
}
