//! `GET /requests` and `POST /requests/<id>/approve`: what waits, and agreeing to it.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State as Extract};
use foreshore_identity::Right;
use foreshore_model::api::{ApproveRequest, OpenRequests, ReleaseAnswer};
use foreshore_model::{Digest, Intent};
use foreshore_release::{Selected, World, approve as decide};
use schemars::JsonSchema;
use serde::Deserialize;

use super::body::Body;
use super::submit::{answered_before, release_answer, submit};
use crate::access::Caller;
use crate::problem::Problem;
use crate::state::State;

/// What the caller has, and how long to wait for something else.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Wait {
    after: Option<String>,
    timeout: Option<u64>,
}

pub(crate) async fn open(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
    Query(wait): Query<Wait>,
) -> Result<Json<OpenRequests>, Problem> {
    caller.must(&Right::Read, "read requests")?;
    if let Some(known) = wait.after {
        let limit = Duration::from_secs(wait.timeout.unwrap_or(0));
        state
            .changes
            .wait_until(limit, |_| version(&state.writer.world()) != known)
            .await;
    }
    let world = state.writer.world();
    Ok(Json(OpenRequests {
        version: version(&world),
        requests: world.requests.values().cloned().collect(),
    }))
}

/// Another one for every other set of requests.
fn version(world: &World) -> String {
    let names: Vec<String> = world
        .requests
        .values()
        .map(|request| format!("{} {}", request.id, request.artifact))
        .collect();
    Digest::of(names.join("\n").as_bytes()).hex().to_owned()
}

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
