//! `POST /releases`: release, promote, roll back; `GET /history`: what was released before.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State as Extract};
use foreshore_identity::Right;
use foreshore_model::api::{HistoryEntry, ReleaseAnswer, ReleaseRequest};
use foreshore_model::{EnvironmentName, ServiceName, clock};
use foreshore_release::{Decision, Wish, World, decide};
use schemars::JsonSchema;
use serde::Deserialize;

use super::body::Body;
use super::submit::{answered_before, release_answer, submit};
use super::wish::{Asked, wish};
use crate::access::Caller;
use crate::problem::Problem;
use crate::state::State;

pub(crate) async fn post(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
    Body(request): Body<ReleaseRequest>,
) -> Result<Json<ReleaseAnswer>, Problem> {
    caller.must(&Right::Release, "release")?;
    let world = state.world();
    let wish = match asked(&state, &world, &caller, &request).await {
        Ok(wish) => wish,
        Err(problem) if request.dry_run => return Err(problem),
        Err(problem) => {
            let before = answered_before(&state, &request.idempotency_key).await;
            return Ok(Json(release_answer(before.ok_or(problem)?)?));
        }
    };
    if request.dry_run {
        return Ok(Json(preview(decide(&world, &wish, clock::now())?)));
    }
    let answer = submit(&state, request.idempotency_key, move |world, now| {
        decide(world, &wish, now)
    })
    .await?;
    Ok(Json(release_answer(answer)?))
}

async fn asked(
    state: &State,
    world: &World,
    caller: &Caller,
    request: &ReleaseRequest,
) -> Result<Wish, Problem> {
    let asked = Asked {
        service: &request.service,
        environment: &request.environment,
        selection: &request.selection,
        rollback: request.hold,
    };
    Ok(Wish {
        reason: request.reason.clone(),
        key: request.idempotency_key.clone(),
        expected: request.expected.clone(),
        hold: request.hold,
        ..wish(state, world, &caller.0.actor, asked).await?
    })
}

fn preview(decision: Decision) -> ReleaseAnswer {
    match decision {
        Decision::Commit(commit) => ReleaseAnswer::Steps {
            steps: commit.words(),
        },
        Decision::Propose(proposal) => ReleaseAnswer::Steps {
            steps: vec![
                format!(
                    "write request.yaml on branch requests/{}",
                    proposal.request.id
                ),
                format!("commit: {}", proposal.subject),
                format!("wait for approvals by others: {}", proposal.needed),
            ],
        },
        Decision::Unchanged(release) => ReleaseAnswer::Unchanged { release: *release },
        Decision::NotHeld => ReleaseAnswer::Steps { steps: Vec::new() },
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Limit {
    count: Option<usize>,
}

const HISTORY_DEFAULT: usize = 20;
const HISTORY_MAX: usize = 1_000;

pub(crate) async fn history(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
    Path((environment, service)): Path<(EnvironmentName, ServiceName)>,
    Query(limit): Query<Limit>,
) -> Result<Json<Vec<HistoryEntry>>, Problem> {
    caller.must(&Right::Read, "read the history")?;
    state.writer.world().release(&environment, &service)?;
    let count = limit.count.unwrap_or(HISTORY_DEFAULT).min(HISTORY_MAX);
    let history = state.writer.history(&environment, &service, count).await;
    Ok(Json(history.map_err(|error| {
        Problem::internal("cannot read the history", &error)
    })?))
}
