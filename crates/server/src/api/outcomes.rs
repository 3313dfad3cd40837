//! `POST /outcomes`: agents tell what became of releases; `GET` tells one site of another.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Extract};
use foreshore_config_repo::ReportError;
use foreshore_identity::Right;
use foreshore_model::{EnvironmentName, ExitCode, Outcome, ServiceName, clock};

use super::body::Body;
use crate::access::Caller;
use crate::problem::Problem;
use crate::recovery::recover;
use crate::state::State;

pub(crate) async fn post(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
    Body(outcomes): Body<Vec<Outcome>>,
) -> Result<Json<usize>, Problem> {
    caller.must(&Right::Report, "report outcomes")?;
    let count = outcomes.len();
    for outcome in &outcomes {
        state.agent_spoke(outcome.environment.clone(), clock::now());
    }
    let told = outcomes.clone();
    match state.outcomes.report_all(outcomes).await {
        Ok(()) => {
            for outcome in told {
                recover(&state, &outcome).await;
            }
            Ok(Json(count))
        }
        Err(error @ ReportError::Refused { .. }) => Err(Problem::new(
            ExitCode::Usage,
            "bad-request",
            error.to_string(),
        )),
        Err(error) => Err(Problem::internal("cannot record the outcome", &error)),
    }
}

pub(crate) async fn get(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
    Path((environment, service)): Path<(EnvironmentName, ServiceName)>,
) -> Result<Json<Vec<Outcome>>, Problem> {
    caller.must(&Right::Read, "read outcomes")?;
    Ok(Json(state.outcomes.newest(&environment, &service)))
}
