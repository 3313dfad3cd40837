//! `POST /explain` and `/diff`, `GET /requests/<id>`: what a release would meet, and change.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State as Extract};
use foreshore_identity::Right;
use foreshore_model::api::{Difference, ExplainRequest, Explanation, RequestDetail, TermRow};
use foreshore_model::{EnvironmentName, ExitCode, Intent, ServiceName, clock};
use foreshore_release::{
    Selected, Wish, World, approvals_needed, difference, granted, terms, unknown_request,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::body::Body;
use super::released::{Files, released_at, released_files};
use super::wish::{Asked, wish};
use crate::access::Caller;
use crate::problem::Problem;
use crate::state::State;

pub(crate) async fn post(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
    Body(request): Body<ExplainRequest>,
) -> Result<Json<Explanation>, Problem> {
    caller.must(&Right::Read, "explain releases")?;
    let world = state.world();
    let wish = asked(&state, &world, &caller, &request).await?;
    Ok(Json(explanation(&world, &wish)?))
}

/// The wish that the question is about.
async fn asked(
    state: &State,
    world: &World,
    caller: &Caller,
    request: &ExplainRequest,
) -> Result<Wish, Problem> {
    let asked = Asked {
        service: &request.service,
        environment: &request.environment,
        selection: &request.selection,
        rollback: request.rollback,
    };
    wish(state, world, &caller.0.actor, asked).await
}

fn explanation(world: &World, wish: &Wish) -> Result<Explanation, Problem> {
    let environment = world.environment(&wish.environment)?;
    let rows: Vec<TermRow> = terms(world, wish, clock::now())
        .into_iter()
        .map(|term| TermRow {
            name: term.name.to_owned(),
            holds: term.holds,
            words: term.words,
        })
        .collect();
    Ok(Explanation {
        service: wish.service.clone(),
        environment: wish.environment.clone(),
        artifact: wish.artifact.digest.clone(),
        artifact_id: wish.artifact.record.id.clone(),
        allowed: rows.iter().all(|term| term.holds),
        approvals: approvals_needed(environment, world, wish),
        terms: rows,
    })
}

pub(crate) async fn diff(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
    Body(request): Body<ExplainRequest>,
) -> Result<Json<Difference>, Problem> {
    caller.must(&Right::Read, "compare releases")?;
    let world = state.world();
    let wish = asked(&state, &world, &caller, &request).await?;
    Ok(Json(against_present(&state, &world, &wish).await?))
}

/// Compares what the environment holds with what the wish would put there.
async fn against_present(state: &State, world: &World, wish: &Wish) -> Result<Difference, Problem> {
    let place = (wish.environment.clone(), wish.service.clone());
    let current = world.releases.get(&place);
    let before = match current {
        Some(_) => released_files(state, &place).await?,
        None => Files::new(),
    };
    let manifests = &wish.artifact.record.manifests;
    let after = manifests
        .get(&wish.environment)
        .cloned()
        .unwrap_or_default();
    let from = current.map_or_else(
        || format!("nothing in {}", wish.environment),
        |current| {
            format!(
                "{} number {} ({})",
                wish.environment, current.sequence, current.artifact_id
            )
        },
    );
    Ok(Difference {
        from,
        to: format!("artifact {}", wish.artifact.record.id),
        files: difference(&before, &after),
    })
}

/// Sequence numbers of two releases of the same service.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Between {
    from: u64,
    to: Option<u64>,
}

/// How far back releases are looked for by number.
const HISTORY_MAX: usize = 1_000;

pub(crate) async fn between(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
    Path(place): Path<(EnvironmentName, ServiceName)>,
    Query(numbers): Query<Between>,
) -> Result<Json<Difference>, Problem> {
    caller.must(&Right::Read, "compare releases")?;
    let (environment, service) = &place;
    let current = state.writer.world().release(environment, service)?.sequence;
    let history = state
        .writer
        .history(environment, service, HISTORY_MAX)
        .await
        .map_err(|error| Problem::internal("cannot read the history", &error))?;
    let commit = |number: u64| {
        let found = history.iter().find(|entry| entry.sequence == number);
        found.map(|entry| entry.commit.clone()).ok_or_else(|| {
            Problem::new(
                ExitCode::NotFound,
                "not-found",
                format!("`{service}` has no release number {number} in `{environment}`"),
            )
            .hint(format!(
                "`foreshore history {service} -e {environment}` shows them"
            ))
        })
    };
    let to = numbers.to.unwrap_or(current);
    let (before, _) = released_at(&state, &commit(numbers.from)?, &place).await?;
    let (after, _) = released_at(&state, &commit(to)?, &place).await?;
    Ok(Json(Difference {
        from: format!("{environment} number {}", numbers.from),
        to: format!("{environment} number {to}"),
        files: difference(&before, &after),
    }))
}

/// What a request would release, for the agent that tries it on its cluster.
pub(crate) async fn files(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Files>, Problem> {
    caller.must(&Right::Read, "read requests")?;
    let world = state.world();
    let wish = requested(&state, &world, &id).await?;
    let manifests = &wish.artifact.record.manifests;
    let files = manifests
        .get(&wish.environment)
        .cloned()
        .unwrap_or_default();
    Ok(Json(files))
}

/// The wish that an open request stands for.
async fn requested(state: &State, world: &World, id: &str) -> Result<Wish, Problem> {
    let request = world
        .requests
        .get(id)
        .ok_or_else(|| unknown_request(world, id))?;
    let selected = Selected::Digest {
        digest: request.artifact.clone(),
        intent: Intent::Release,
    };
    let (candidate, _) = state.artifacts.find(&request.service, selected).await?;
    Ok(granted(request, candidate, ""))
}

pub(crate) async fn request(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<RequestDetail>, Problem> {
    caller.must(&Right::Read, "read requests")?;
    let world = state.world();
    let wish = requested(&state, &world, &id).await?;
    let request = world
        .requests
        .get(&id)
        .ok_or_else(|| unknown_request(&world, &id))?;
    let explanation = explanation(&world, &wish)?;
    let given = u32::try_from(request.approvals.len()).unwrap_or(u32::MAX);
    Ok(Json(RequestDetail {
        request: request.clone(),
        needed: explanation.approvals.saturating_sub(given),
        difference: against_present(&state, &world, &wish).await?,
        explanation,
        previews: state.previews.of(&id),
    }))
}
