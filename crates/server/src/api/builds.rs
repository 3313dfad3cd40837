//! `GET /builds`: what became of pushed source, and what each build said.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State as Extract};
use foreshore_identity::Right;
use foreshore_model::api::{BuildLog, BuildRow};
use foreshore_model::{ExitCode, ServiceName};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::access::Caller;
use crate::problem::Problem;
use crate::state::State;

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Filter {
    service: Option<ServiceName>,
}

pub(crate) async fn list(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Result<Json<Vec<BuildRow>>, Problem> {
    caller.must(&Right::Read, "list builds")?;
    Ok(Json(state.builds.rows(filter.service.as_ref())))
}

pub(crate) async fn log(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<BuildLog>, Problem> {
    let builds = state.builds.clone();
    let asked = id.clone();
    let log = tokio::task::spawn_blocking(move || builds.log(&asked)).await;
    let log = log
        .map_err(|error| Problem::internal("cannot read the log", &error))?
        .map_err(|error| Problem::internal("cannot read the log", &error))?;
    // Who pushes a service may see what became of it; who knows nothing of a build may not ask whether there is one.
    let pushes = log
        .as_ref()
        .is_some_and(|log| caller.0.may_push(&log.build.service));
    if !pushes {
        caller.must(&Right::Read, "read the logs of builds")?;
    }
    log.map(Json).ok_or_else(|| {
        Problem::new(
            ExitCode::NotFound,
            "not-found",
            format!("there is no build `{id}`"),
        )
        .hint("`foreshore builds` lists them")
    })
}
