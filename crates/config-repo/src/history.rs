//! What happened to a service, as the commits tell it.

use foreshore_git::{CommitInfo, GitError, LogQuery, ObjectId, Repository};
use foreshore_model::{ArtifactId, Digest, EnvironmentName, ServiceName, api};
use jiff::Timestamp;

use crate::layout::MAIN_REF;

/// One commit that changed a service in an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    pub commit: ObjectId,
    pub at: Timestamp,
    pub subject: String,
    /// Name of who did it: the actor if the commit names one, else the author.
    pub actor: String,
    pub reason: String,
    /// Missing on commits that release nothing, and on those made by hand.
    pub sequence: Option<u64>,
    pub artifact: Option<Digest>,
    pub artifact_id: Option<ArtifactId>,
    pub intent: Option<String>,
}

/// Returns the latest commits that touched a service, newest first.
pub fn history(
    repository: &Repository,
    environment: &EnvironmentName,
    service: &ServiceName,
    limit: usize,
) -> Result<Vec<HistoryEntry>, GitError> {
    let Some(tip) = repository.resolve(MAIN_REF)? else {
        return Ok(Vec::new());
    };
    let path = format!("environments/{environment}/{service}");
    let query = LogQuery {
        from: &tip,
        until: None,
        path: Some(&path),
        limit,
    };
    Ok(repository.log(&query)?.into_iter().map(entry).collect())
}

fn entry(commit: CommitInfo) -> HistoryEntry {
    let text = |name: &str| commit.trailer(name).map(str::to_owned);
    let sequence = text("Release").and_then(|release| release.rsplit_once('/')?.1.parse().ok());
    HistoryEntry {
        sequence,
        artifact: text("Artifact").and_then(|digest| digest.parse().ok()),
        artifact_id: text("Artifact-Id").and_then(|id| id.parse().ok()),
        intent: text("Intent"),
        actor: text("Actor").unwrap_or_else(|| commit.author.to_string()),
        reason: text("Reason").unwrap_or_default(),
        subject: commit.subject().to_owned(),
        at: commit.committed_at,
        commit: commit.id,
    }
}

/// Returns the latest releases of a service as the API tells them.
///
/// Commits that release nothing count towards how far back is looked.
pub(crate) fn releases(
    repository: &Repository,
    environment: &EnvironmentName,
    service: &ServiceName,
    count: usize,
) -> Result<Vec<api::HistoryEntry>, GitError> {
    let entries = history(repository, environment, service, count.saturating_mul(4))?;
    let releases = entries.into_iter().filter_map(|entry| {
        Some(api::HistoryEntry {
            commit: entry.commit.to_string(),
            at: entry.at,
            actor: entry.actor,
            subject: entry.subject,
            reason: entry.reason,
            sequence: entry.sequence?,
            artifact_id: entry.artifact_id?,
        })
    });
    Ok(releases.take(count).collect())
}
