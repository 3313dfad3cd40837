//! `POST /retire` and `/removals`: the end of a service, and consent to take objects away.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Extract};
use foreshore_config_repo::Answer;
use foreshore_identity::Right;
use foreshore_model::api::{ChangeAnswer, RemovalsRequest, RetireAnswer, RetireRequest};
use foreshore_model::{EnvironmentName, ServiceName, clock, yaml};
use foreshore_release::{Retirement, confirm_removals, retire, tombstone};

use super::body::Body;
use super::released::released_files;
use super::rules::change_answer;
use super::submit::{answered_before, key_used_before, submit};
use crate::access::Caller;
use crate::problem::Problem;
use crate::state::State;

pub(crate) async fn post(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
    Path(place): Path<(EnvironmentName, ServiceName)>,
    Body(request): Body<RetireRequest>,
) -> Result<Json<RetireAnswer>, Problem> {
    caller.must(&Right::Release, "retire services")?;
    let wish = Retirement {
        place: place.clone(),
        actor: caller.0.actor,
        reason: request.reason,
        key: request.idempotency_key.clone(),
        confirmed: request.confirmed,
    };
    let world = state.writer.world();
    let planned = match tombstone(&world, &wish, clock::now()) {
        Ok(planned) => planned,
        Err(refusal) => {
            // The first copy of a repeated request has ended the service already.
            let before = answered_before(&state, &request.idempotency_key).await;
            let stone = world.tombstones.get(&place).cloned();
            let (Some(Answer::Committed { commit, .. }), Some(tombstone)) = (before, stone) else {
                return Err(refusal.into());
            };
            return Ok(Json(RetireAnswer {
                commit: Some(commit),
                tombstone,
                objects: Vec::new(),
            }));
        }
    };
    let objects = objects_of(&state, &place).await?;
    if request.dry_run {
        retire(&world, &wish, clock::now())?;
        return Ok(Json(RetireAnswer {
            commit: None,
            tombstone: planned,
            objects,
        }));
    }
    let answer = submit(&state, request.idempotency_key, move |world, now| {
        retire(world, &wish, now)
    })
    .await?;
    let Answer::Committed { commit, .. } = answer else {
        return Err(key_used_before());
    };
    Ok(Json(RetireAnswer {
        commit: Some(commit),
        tombstone: state
            .writer
            .world()
            .tombstones
            .get(&place)
            .cloned()
            .unwrap_or(planned),
        objects,
    }))
}

async fn objects_of(
    state: &State,
    place: &(EnvironmentName, ServiceName),
) -> Result<Vec<String>, Problem> {
    let mut objects = Vec::new();
    for (path, text) in released_files(state, place).await? {
        let read = yaml::read_manifests(&path, &text)
            .map_err(|error| Problem::internal("cannot read the released manifests", &error))?;
        objects.extend(read.iter().map(|object| {
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            format!(
                "{}/{}",
                text(&object["kind"]),
                text(&object["metadata"]["name"])
            )
        }));
    }
    Ok(objects)
}

pub(crate) async fn confirm(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
    Path(place): Path<(EnvironmentName, ServiceName)>,
    Body(request): Body<RemovalsRequest>,
) -> Result<Json<ChangeAnswer>, Problem> {
    caller.must(&Right::Release, "confirm removals")?;
    let wish = Retirement {
        place,
        actor: caller.0.actor,
        reason: request.reason,
        key: request.idempotency_key.clone(),
        confirmed: request.objects,
    };
    let answer = submit(&state, request.idempotency_key, move |world, now| {
        confirm_removals(world, &wish, now)
    })
    .await?;
    Ok(Json(change_answer(answer)))
}
