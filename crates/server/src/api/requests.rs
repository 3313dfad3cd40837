//! `POST /requests/<id>/approve`: agree to what somebody else asked for.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Extract};
use foreshore_identity::Right;
use foreshore_model::Intent;
use foreshore_model::api::{ApproveRequest, ReleaseAnswer};
use foreshore_release::{Selected, approve as decide};

use super::body::Body;
use super::submit::{answered_before, release_answer, submit};
use crate::access::Caller;
use crate::problem::Problem;
use crate::state::State;

pub(crate) async fn approve(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
    Path(id): Path<String>,
    Body(_): Body<ApproveRequest>,
) -> Result<Json<ReleaseAnswer>, Problem> {
    caller.must(&Right::Approve, "approve releases")?;
    let actor = caller.0.actor;
    // The same person's approval of the same request is one and the same, however often it is sent.
    let key = format!("approve/{id}/{}", actor.name);
    let world = state.writer.world();
    let Some(request) = world.requests.get(&id) else {
        let before = answered_before(&state, &key).await;
        let before = before.ok_or_else(|| foreshore_release::unknown_request(&world, &id))?;
        return Ok(Json(release_answer(before)?));
    };
    let selected = Selected::Digest {
        digest: request.artifact.clone(),
        intent: Intent::Release,
    };
    let (candidate, _) = state.artifacts.find(&request.service, selected).await?;
    let answer = submit(&state, key.clone(), move |world, now| {
        decide(world, &id, &actor, candidate.clone(), &key, now)
    })
    .await?;
    Ok(Json(release_answer(answer)?))
}
