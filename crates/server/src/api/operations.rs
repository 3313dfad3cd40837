//! `POST /operations/<environment>/<service>`: replicas, bounds, floors, pause.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Extract};
use foreshore_config_repo::Answer;
use foreshore_identity::Right;
use foreshore_model::api::{OperationsAnswer, OperationsRequest};
use foreshore_model::{EnvironmentName, ServiceName, clock};
use foreshore_release::{Operation, Workload, operate, operated, workloads};

use super::body::Body;
use super::released::released_files;
use super::submit::submit;
use crate::access::Caller;
use crate::problem::Problem;
use crate::state::State;

pub(crate) async fn post(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
    Path(place): Path<(EnvironmentName, ServiceName)>,
    Body(request): Body<OperationsRequest>,
) -> Result<Json<OperationsAnswer>, Problem> {
    caller.must(&Right::Release, "change the operations of services")?;
    let world = state.writer.world();
    world.release(&place.0, &place.1)?;
    let operation = Operation {
        workloads: workloads_of(&state, &place).await?,
        place: place.clone(),
        change: request.change,
        actor: caller.0.actor,
        reason: request.reason,
        key: request.idempotency_key.clone(),
        expected: request.expected,
    };
    if request.dry_run {
        let done = operated(&world, &operation, clock::now())?;
        return Ok(Json(OperationsAnswer {
            commit: None,
            operations: done.operations,
            words: done.words,
        }));
    }
    let answer = submit(&state, request.idempotency_key, move |world, now| {
        operate(world, &operation, now)
    })
    .await?;
    let (commit, words) = match answer {
        Answer::Committed {
            commit, subject, ..
        } => (Some(commit), vec![subject]),
        _ => (None, Vec::new()),
    };
    let world = state.writer.world();
    Ok(Json(OperationsAnswer {
        commit,
        operations: world.operations.get(&place).cloned().unwrap_or_default(),
        words,
    }))
}

async fn workloads_of(
    state: &State,
    place: &(EnvironmentName, ServiceName),
) -> Result<Vec<Workload>, Problem> {
    let files = released_files(state, place).await?;
    let texts = files
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()));
    workloads(texts)
        .map_err(|error| Problem::internal("cannot read the released manifests", &error))
}
