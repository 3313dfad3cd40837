//! Which wishes were carried out before.

use std::collections::HashMap;

use foreshore_git::{CommitInfo, LogQuery, ObjectId, Repository};
use foreshore_model::{EnvironmentName, Hold, ServiceName, yaml};
use foreshore_release::TRAILER_KEY;

use super::Answer;
use crate::error::ReadError;
use crate::layout::release_file;
use crate::snapshot::fits;

/// Commits whose keys are known; older repetitions are judged anew.
const COMMITS_MAX: usize = 10_000;

/// The commit of each key, rebuilt from the history at start.
#[derive(Debug, Default)]
pub(super) struct Keys {
    commits: HashMap<String, ObjectId>,
}

impl Keys {
    /// Takes in the commits after `seen`.
    pub(super) fn read(
        &mut self,
        repository: &Repository,
        seen: Option<&ObjectId>,
        tip: &ObjectId,
    ) -> Result<(), ReadError> {
        let query = LogQuery {
            from: tip,
            until: seen,
            path: None,
            limit: COMMITS_MAX,
        };
        for commit in repository.log(&query)?.into_iter().rev() {
            if let Some(key) = commit.trailer(TRAILER_KEY) {
                self.insert(key.to_owned(), commit.id.clone());
            }
        }
        Ok(())
    }

    /// The first commit with a key counts: whoever repeats it by hand does not replace the answer.
    pub(super) fn insert(&mut self, key: String, commit: ObjectId) {
        if !key.is_empty() {
            self.commits.entry(key).or_insert(commit);
        }
    }

    /// Returns what was answered to a key before.
    pub(super) fn answer(
        &self,
        repository: &Repository,
        key: &str,
    ) -> Result<Option<Answer>, ReadError> {
        let Some(id) = self.commits.get(key) else {
            return Ok(None);
        };
        let query = LogQuery {
            from: id,
            until: None,
            path: None,
            limit: 1,
        };
        let Some(commit) = repository.log(&query)?.pop() else {
            return Ok(None);
        };
        let release = released(repository, &commit)?;
        let hold = held(repository, &commit)?;
        let subject = commit.subject().to_owned();
        Ok(Some(Answer::Committed {
            commit: commit.id.to_string(),
            subject,
            release,
            hold,
        }))
    }
}

/// Reads the release that a commit made, by its trailer `Release: <environment>/<service>/<sequence>`.
fn released(
    repository: &Repository,
    commit: &CommitInfo,
) -> Result<Option<foreshore_model::ReleaseFile>, ReadError> {
    let place = commit.trailer("Release").and_then(|text| {
        let mut parts = text.split('/');
        Some((
            EnvironmentName::new(parts.next()?).ok()?,
            ServiceName::new(parts.next()?).ok()?,
        ))
    });
    let Some(place) = place else { return Ok(None) };
    let path = release_file(&place);
    let bytes = repository
        .read_path(&commit.id, &path)?
        .ok_or_else(|| ReadError::MissingFile { path: path.clone() })?;
    let text = String::from_utf8(bytes).map_err(|_| ReadError::NotText { path: path.clone() })?;
    fits(&place, yaml::read(&path, &text)?).map(Some)
}

/// Reads the hold that a commit set, or the one that it lifted.
fn held(repository: &Repository, commit: &CommitInfo) -> Result<Option<Hold>, ReadError> {
    let holds = |id: &ObjectId| repository.tree_id(id, "holds");
    let before = commit.parents.first().map(holds).transpose()?.flatten();
    let changes = repository.diff_trees(before.as_ref(), holds(&commit.id)?.as_ref())?;
    let Some(change) = changes.into_iter().next() else {
        return Ok(None);
    };
    let Some(entry) = change.after.or(change.before) else {
        return Ok(None);
    };
    let path = format!("holds/{}", change.path);
    let text = String::from_utf8(repository.read_blob(&entry.id)?)
        .map_err(|_| ReadError::NotText { path: path.clone() })?;
    Ok(Some(yaml::read(&path, &text)?))
}
