//! `/loads`: a load generator tells how its run goes; pages ask.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State as Extract};
use foreshore_identity::Right;
use foreshore_model::api::load::{LoadRun, Loads};
use foreshore_model::{ExitCode, clock};
use schemars::JsonSchema;
use serde::Deserialize;

use super::body::Body;
use crate::access::Caller;
use crate::problem::Problem;
use crate::state::State;

pub(crate) async fn put(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
    Path(id): Path<String>,
    Body(run): Body<LoadRun>,
) -> Result<Json<bool>, Problem> {
    caller.must(&Right::Read, "show a load run")?;
    if id != run.id {
        let message = format!("the report is of run `{}`, not of `{id}`", run.id);
        return Err(Problem::new(ExitCode::Usage, "bad-request", message));
    }
    run.check()
        .map_err(|message| Problem::new(ExitCode::Usage, "bad-request", message))?;
    state
        .loads
        .put(run, &caller.0.actor.name, clock::now())
        .map_err(|taken| Problem::new(ExitCode::Conflict, "conflict", taken.to_string()))?;
    Ok(Json(true))
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Wait {
    /// The version that the caller has.
    after: Option<u64>,
    timeout: Option<u64>,
}

pub(crate) async fn list(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
    Query(wait): Query<Wait>,
) -> Result<Json<Loads>, Problem> {
    caller.must(&Right::Read, "read load runs")?;
    let Some(known) = wait.after else {
        return Ok(Json(state.loads.all()));
    };
    let limit = Duration::from_secs(wait.timeout.unwrap_or(0));
    Ok(Json(state.loads.after(known, limit).await))
}
