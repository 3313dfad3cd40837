//! `GET /artifacts`: what was built.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State as Extract};
use foreshore_identity::Right;
use foreshore_model::api::ArtifactSummary;
use foreshore_model::{ArtifactId, ArtifactRecord, Intent, ServiceName};
use foreshore_release::Selected;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::access::Caller;
use crate::problem::Problem;
use crate::state::State;

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Filter {
    service: ServiceName,
    branch: Option<String>,
}

pub(crate) async fn list(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Result<Json<Vec<ArtifactSummary>>, Problem> {
    caller.must(&Right::Read, "list artifacts")?;
    let mut artifacts = state.artifacts.list(&filter.service).await?;
    artifacts.retain(|artifact| {
        filter
            .branch
            .as_ref()
            .is_none_or(|branch| artifact.branch == *branch)
    });
    Ok(Json(artifacts))
}

pub(crate) async fn describe(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
    Path((service, id)): Path<(ServiceName, ArtifactId)>,
) -> Result<Json<ArtifactRecord>, Problem> {
    caller.must(&Right::Read, "read artifacts")?;
    let (candidate, _) = state
        .artifacts
        .find(
            &service,
            Selected::Id {
                id,
                intent: Intent::Release,
            },
        )
        .await?;
    Ok(Json(candidate.record))
}
