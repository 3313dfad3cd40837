//! Finds artifacts in the registry, whichever registry it is.

use std::cmp::Reverse;

use foreshore_artifact::{FetchError, PublicKey, VerifyError};
use foreshore_image::RegistryClient;
use foreshore_model::api::ArtifactSummary;
use foreshore_model::{ArtifactRecord, Digest, ExitCode, Intent, ServiceName, nearest};
use foreshore_release::{Candidate, Selected};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::problem::Problem;

/// Enough to hide the registry's latency, few enough to leave it room for others.
const FETCHES_AT_ONCE: usize = 8;

/// The artifacts of all services.
#[derive(Debug, Clone)]
pub(crate) struct Artifacts {
    registry: RegistryClient,
    /// What arrived through our door is signed with it.
    key: PublicKey,
}

impl Artifacts {
    pub(crate) fn new(registry: RegistryClient, key: PublicKey) -> Self {
        Self { registry, key }
    }

    /// The key that artifacts are signed with.
    pub(crate) fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Refuses an artifact that did not come in through our door.
    async fn check_signature(&self, service: &ServiceName, digest: &Digest) -> Result<(), Problem> {
        match foreshore_artifact::verify(&self.registry, service, digest, &self.key).await {
            Ok(()) => Ok(()),
            Err(error @ VerifyError::Client { .. }) => {
                Err(Problem::internal("cannot verify the artifact", &error))
            }
            Err(error) => Err(Problem::new(
                ExitCode::Refused,
                "not-signed",
                error.to_string(),
            )
            .hint("artifacts are signed when they are pushed through this server: `foreshore artifact push`")),
        }
    }

    /// Fetches the artifact that was selected, and what its release is meant as.
    pub(crate) async fn find(
        &self,
        service: &ServiceName,
        selected: Selected,
    ) -> Result<(Candidate, Intent), Problem> {
        let (target, intent) = match selected {
            Selected::Digest { digest, intent } => (digest.to_string(), intent),
            Selected::Id { id, intent } => (id.to_string(), intent),
            Selected::Newest { branch, intent } => (self.newest(service, &branch).await?, intent),
        };
        match foreshore_artifact::fetch(&self.registry, service, &target).await {
            Ok(fetched) => {
                self.check_signature(service, &fetched.digest).await?;
                let candidate = Candidate {
                    digest: fetched.digest,
                    record: fetched.record,
                };
                Ok((candidate, intent))
            }
            Err(FetchError::NotFound { .. }) => Err(self.unknown(service, &target).await),
            // It will be no better the next time, so it must not hold up others.
            Err(error @ (FetchError::Document { .. } | FetchError::Id { .. })) => {
                Err(Problem::new(
                    ExitCode::Usage,
                    "unusable-artifact",
                    foreshore_model::chain(&error),
                ))
            }
            Err(error) => Err(Problem::internal("cannot fetch the artifact", &error)),
        }
    }

    /// Lists a service's artifacts, the newest source first.
    pub(crate) async fn list(
        &self,
        service: &ServiceName,
    ) -> Result<Vec<ArtifactSummary>, Problem> {
        let failed = |error| Problem::internal("cannot list artifacts", &error);
        let ids = foreshore_artifact::list(&self.registry, service)
            .await
            .map_err(failed)?;
        let fetches = ids.into_iter().map(|id| async move {
            match foreshore_artifact::fetch(&self.registry, service, id.as_str()).await {
                Ok(fetched) => Ok(Some(summary(fetched.digest, fetched.record))),
                // One that nobody can use must not hide the others.
                Err(error @ (FetchError::Document { .. } | FetchError::Id { .. })) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, %service, %id, "artifact cannot be used");
                    Ok(None)
                }
                Err(error) => Err(error),
            }
        });
        let artifacts: Vec<Option<ArtifactSummary>> = stream::iter(fetches)
            .buffered(FETCHES_AT_ONCE)
            .try_collect()
            .await
            .map_err(failed)?;
        let mut artifacts: Vec<ArtifactSummary> = artifacts.into_iter().flatten().collect();
        artifacts.sort_by_key(|artifact| Reverse(artifact.committed_at));
        Ok(artifacts)
    }

    async fn newest(&self, service: &ServiceName, branch: &str) -> Result<String, Problem> {
        let artifacts = self.list(service).await?;
        if let Some(newest) = artifacts.iter().find(|artifact| artifact.branch == branch) {
            return Ok(newest.digest.to_string());
        }
        let problem = Problem::new(
            ExitCode::NotFound,
            "not-found",
            format!("`{service}` has no artifact of branch `{branch}`"),
        );
        Err(
            match nearest(
                branch,
                artifacts.iter().map(|artifact| artifact.branch.as_str()),
            ) {
                Some(near) => problem.hint(format!("did you mean `{near}`?")),
                None => problem.hint("build one with `foreshore run build`"),
            },
        )
    }

    async fn unknown(&self, service: &ServiceName, target: &str) -> Problem {
        let problem = Problem::new(
            ExitCode::NotFound,
            "not-found",
            format!("`{service}` has no artifact `{target}`"),
        );
        // The list only serves the hint; what is wrong is known already.
        let artifacts = self.list(service).await.unwrap_or_default();
        match nearest(
            target,
            artifacts.iter().map(|artifact| artifact.id.as_str()),
        ) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem.hint(format!(
                "`foreshore artifact list {service}` shows what there is"
            )),
        }
    }
}

fn summary(digest: Digest, record: ArtifactRecord) -> ArtifactSummary {
    ArtifactSummary {
        id: record.id,
        digest,
        service: record.service,
        branch: record.source.branch,
        commit: record.source.commit,
        author: record.source.author,
        message: record.source.message,
        committed_at: record.source.committed_at,
    }
}
