//! `PUT` and `DELETE /holds/<environment>/<service>`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Extract};
use foreshore_config_repo::Answer;
use foreshore_identity::Right;
use foreshore_model::api::HoldRequest;
use foreshore_model::{EnvironmentName, Hold, ServiceName, clock};
use foreshore_release::{hold, lift};

use super::body::Body;
use super::submit::{key_used_before, submit};
use crate::access::Caller;
use crate::problem::Problem;
use crate::state::State;

/// Setting a hold twice replaces it, so every call has a key of its own.
fn key(verb: &str, environment: &EnvironmentName, service: &ServiceName) -> String {
    format!(
        "{verb}/{environment}/{service}/{}",
        clock::now().as_nanosecond()
    )
}

pub(crate) async fn put(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
    Path(place): Path<(EnvironmentName, ServiceName)>,
    Body(request): Body<HoldRequest>,
) -> Result<Json<Hold>, Problem> {
    caller.must(&Right::Release, "hold services")?;
    let key = key("hold", &place.0, &place.1);
    let actor = caller.0.actor;
    let made = key.clone();
    let answer = submit(&state, key, move |world, now| {
        hold(world, &place, &actor, &request.reason, &made, now)
    })
    .await?;
    match answer {
        Answer::Committed {
            hold: Some(hold), ..
        } => Ok(Json(hold)),
        _ => Err(key_used_before()),
    }
}

pub(crate) async fn delete(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
    Path(place): Path<(EnvironmentName, ServiceName)>,
) -> Result<Json<Option<Hold>>, Problem> {
    caller.must(&Right::Release, "lift holds")?;
    let key = key("lift", &place.0, &place.1);
    let actor = caller.0.actor;
    let made = key.clone();
    match submit(&state, key, move |world, _| {
        lift(world, &place, &actor, &made)
    })
    .await?
    {
        Answer::Committed { hold, .. } => Ok(Json(hold)),
        Answer::NotHeld => Ok(Json(None)),
        _ => Err(key_used_before()),
    }
}
