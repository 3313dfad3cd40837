//! Policies and freezes: `GET`, `PUT` and `DELETE` of `/policies` and `/freezes`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State as Extract};
use foreshore_config_repo::Answer;
use foreshore_identity::Right;
use foreshore_model::api::{ChangeAnswer, FreezeRequest, FreezeRow, PolicyRow};
use foreshore_model::config::Policy;
use foreshore_model::{FreezeName, PolicyName, clock};
use foreshore_release::{apply_policy, delete_policy, freeze, is_open, lift_freeze};
use schemars::JsonSchema;
use serde::Deserialize;

use super::body::Body;
use super::submit::submit;
use crate::access::Caller;
use crate::problem::Problem;
use crate::state::State;

/// Why something is taken away, in the query of a `DELETE`.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Why {
    #[serde(default)]
    reason: String,
}

/// Setting the same rule twice is two requests, so every call has a key of its own.
fn key(verb: &str, name: &str) -> String {
    format!("{verb}/{name}/{}", clock::now().as_nanosecond())
}

/// Says what a change of rules made.
pub(crate) fn change_answer(answer: Answer) -> ChangeAnswer {
    match answer {
        Answer::Committed {
            commit, subject, ..
        } => ChangeAnswer {
            commit: Some(commit),
            subject,
        },
        _ => ChangeAnswer {
            commit: None,
            subject: "nothing to change".to_owned(),
        },
    }
}

pub(crate) async fn policies(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
) -> Result<Json<Vec<PolicyRow>>, Problem> {
    caller.must(&Right::Read, "read policies")?;
    let world = state.writer.world();
    let rows = world.policies.iter().map(|(name, policy)| PolicyRow {
        name: name.clone(),
        policy: policy.clone(),
    });
    Ok(Json(rows.collect()))
}

pub(crate) async fn put_policy(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
    Path(name): Path<PolicyName>,
    Body(policy): Body<Policy>,
) -> Result<Json<ChangeAnswer>, Problem> {
    caller.must(&Right::Administer, "change policies")?;
    let (key, actor) = (key("policy", name.as_str()), caller.0.actor);
    let answer = submit(&state, key.clone(), move |world, _| {
        apply_policy(world, &name, &policy, &actor, &key)
    })
    .await?;
    Ok(Json(change_answer(answer)))
}

pub(crate) async fn delete_policy_named(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
    Path(name): Path<PolicyName>,
    Query(why): Query<Why>,
) -> Result<Json<ChangeAnswer>, Problem> {
    caller.must(&Right::Administer, "change policies")?;
    let (key, actor) = (key("policy-delete", name.as_str()), caller.0.actor);
    let answer = submit(&state, key.clone(), move |world, _| {
        delete_policy(world, &name, &actor, &why.reason, &key)
    })
    .await?;
    Ok(Json(change_answer(answer)))
}

pub(crate) async fn freezes(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
) -> Result<Json<Vec<FreezeRow>>, Problem> {
    caller.must(&Right::Read, "read freezes")?;
    let (world, now) = (state.writer.world(), clock::now());
    let rows = world.freezes.iter().map(|(name, freeze)| FreezeRow {
        name: name.clone(),
        freeze: freeze.clone(),
        open: world
            .zones
            .get(&freeze.time_zone)
            .is_some_and(|zone| is_open(&freeze.window, zone, now)),
    });
    Ok(Json(rows.collect()))
}

pub(crate) async fn put_freeze(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
    Path(name): Path<FreezeName>,
    Body(request): Body<FreezeRequest>,
) -> Result<Json<ChangeAnswer>, Problem> {
    caller.must(&Right::Release, "freeze environments")?;
    let (key, actor) = (key("freeze", name.as_str()), caller.0.actor);
    let answer = submit(&state, key.clone(), move |world, now| {
        freeze(world, &name, &request, &actor, &key, now)
    })
    .await?;
    Ok(Json(change_answer(answer)))
}

pub(crate) async fn delete_freeze(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
    Path(name): Path<FreezeName>,
    Query(why): Query<Why>,
) -> Result<Json<ChangeAnswer>, Problem> {
    caller.must(&Right::Release, "lift freezes")?;
    let (key, actor) = (key("freeze-lift", name.as_str()), caller.0.actor);
    let answer = submit(&state, key.clone(), move |world, _| {
        lift_freeze(world, &name, &actor, &why.reason, &key)
    })
    .await?;
    Ok(Json(change_answer(answer)))
}
