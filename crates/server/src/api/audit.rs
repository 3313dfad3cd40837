//! `GET /audit` and `/describe/release`: who did what, as the commits tell it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State as Extract};
use foreshore_git::{CommitInfo, GitError, LogQuery, ObjectId, Signature, trailers_of};
use foreshore_identity::Right;
use foreshore_model::api::{AuditEntry, ReleaseDetail};
use foreshore_model::{EnvironmentName, ExitCode, ServiceName};
use foreshore_release::TRAILER_KEY;
use schemars::JsonSchema;
use serde::Deserialize;

use super::released::{blocking, released_at, repository};
use crate::access::Caller;
use crate::problem::Problem;
use crate::state::State;

const COUNT_DEFAULT: usize = 50;
const COUNT_MAX: usize = 10_000;

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Filter {
    count: Option<usize>,
    environment: Option<EnvironmentName>,
    service: Option<ServiceName>,
}

pub(crate) async fn get(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Result<Json<Vec<AuditEntry>>, Problem> {
    caller.must(&Right::Read, "read the audit trail")?;
    let count = filter.count.unwrap_or(COUNT_DEFAULT).min(COUNT_MAX);
    let (repository, tip) = (repository(&state), state.writer.current().commit);
    let is_wanted = move |commit: &CommitInfo| is_about(commit, &filter);
    let signers = state.signers.clone();
    let entries = blocking(move || {
        let mut commits = repository.log(&LogQuery {
            from: &tip,
            until: None,
            path: None,
            limit: COUNT_MAX,
        })?;
        commits.retain(is_wanted);
        commits.truncate(count);
        let ids: Vec<ObjectId> = commits.iter().map(|commit| commit.id.clone()).collect();
        let signatures = repository.signatures(&ids, &signers)?;
        let entries = commits.iter().zip(&signatures);
        Ok::<_, GitError>(
            entries
                .map(|(commit, signature)| entry(commit, signature))
                .collect(),
        )
    })
    .await?;
    Ok(Json(entries))
}

/// Whether a signature is good; none if there is none.
fn is_good(signature: &Signature) -> Option<bool> {
    match signature {
        Signature::Unsigned => None,
        Signature::Good(_) => Some(true),
        Signature::Bad { .. } => Some(false),
    }
}

/// Subjects start with the place that a commit is about.
fn is_about(commit: &CommitInfo, filter: &Filter) -> bool {
    let place = commit
        .subject()
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
        .map_or("", |(place, _)| place);
    let (environment, service) = place.split_once('/').unwrap_or((place, ""));
    let fits = |wanted: Option<&str>, found: &str| wanted.is_none_or(|wanted| wanted == found);
    fits(
        filter.environment.as_ref().map(EnvironmentName::as_str),
        environment,
    ) && fits(filter.service.as_ref().map(ServiceName::as_str), service)
}

fn entry(commit: &CommitInfo, signature: &Signature) -> AuditEntry {
    let trailers: Vec<(String, String)> = trailers_of(&commit.message)
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let find = |name: &str| {
        let found = trailers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.clone())
    };
    AuditEntry {
        at: commit.committed_at,
        actor: find("Actor").unwrap_or_else(|| commit.author.to_string()),
        subject: commit.subject().to_owned(),
        by_writer: find(TRAILER_KEY).is_some(),
        signed: is_good(signature),
        commit: commit.id.to_string(),
        trailers,
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Count {
    count: Option<usize>,
}

pub(crate) async fn release(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
    Path(place): Path<(EnvironmentName, ServiceName)>,
    Query(count): Query<Count>,
) -> Result<Json<Vec<ReleaseDetail>>, Problem> {
    caller.must(&Right::Read, "describe releases")?;
    let (environment, service) = &place;
    let world = state.writer.world();
    world.release(environment, service)?;
    let count = count.count.unwrap_or(1);
    if count == 0 || count > 100 {
        return Err(Problem::new(
            ExitCode::Usage,
            "bad-request",
            format!("{count} releases cannot be described at once"),
        )
        .hint("ask for 1 to 100 with --count"));
    }
    let history = state
        .writer
        .history(environment, service, count)
        .await
        .map_err(|error| Problem::internal("cannot read the history", &error))?;
    let outcomes = state.outcomes.newest(environment, service);
    let verdicts = state.outcomes.all_verdicts();
    let verdicts = verdicts.get(&place).cloned().unwrap_or_default();
    let ids: Vec<ObjectId> = history
        .iter()
        .filter_map(|entry| entry.commit.parse().ok())
        .collect();
    let (repository, signers) = (repository(&state), state.signers.clone());
    let signatures = blocking(move || repository.signatures(&ids, &signers)).await?;
    let mut details = Vec::new();
    for (entry, signature) in history.into_iter().zip(signatures) {
        let (_, release) = released_at(&state, &entry.commit, &place).await?;
        let of_release = outcomes
            .iter()
            .filter(|outcome| outcome.sequence == release.sequence);
        let on_artifact = verdicts
            .iter()
            .filter(|verdict| verdict.artifact == release.artifact);
        details.push(ReleaseDetail {
            commit: entry.commit,
            signed: is_good(&signature),
            outcomes: of_release.cloned().collect(),
            verdicts: on_artifact.cloned().collect(),
            release,
        });
    }
    Ok(Json(details))
}
