//! The pages of the server: who reads them, and what they ask beside the API.

use std::net::SocketAddr;
use std::path;
use std::sync::Arc;

use axum::extract::{Path, State as Extract};
use axum::routing::get;
use axum::{Json, Router};
use foreshore_dashboard::{Dashboard, Options, inside};
use foreshore_identity::{Principal, Right, Token};
use foreshore_model::ServiceName;
use tokio_util::sync::CancellationToken;

use crate::access::Caller;
use crate::api;
use crate::credentials::{self, OWNER, SERVER};
use crate::error::ServerError;
use crate::problem::Problem;
use crate::state::State;

/// Starts the pages; clusters are added to them as they are connected.
pub(crate) fn start(
    state: &Arc<State>,
    data: &path::Path,
    address: SocketAddr,
    shutdown: &CancellationToken,
) -> Result<Dashboard, ServerError> {
    let inside = Router::new()
        .route("/inside/world", get(world))
        .with_state(state.clone());
    let options = Options {
        api: api::router(state.clone()).merge(inside),
        reader: principal(state, data, SERVER)?,
        owner: principal(state, data, OWNER)?,
        address,
        ground: state.ground.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        audit: data.join("server").join("audit.jsonl"),
        cache: Some(data.join("cache").join("dashboard")),
    };
    Ok(Dashboard::start(options, shutdown.clone())?)
}

/// What the clusters say of a service, beside what the API says of its releases.
pub(crate) fn running(state: &Arc<State>, dashboard: &Dashboard) -> Router {
    let dashboard = dashboard.clone();
    let answer = |Extract(_): Extract<Arc<State>>,
                  caller: Caller,
                  Path(service): Path<ServiceName>| async move {
        caller.must(&Right::Read, "read what runs")?;
        Ok::<_, Problem>(Json(dashboard.running(&service)))
    };
    Router::new()
        .route("/api/v1/running/{service}", get(answer))
        .with_state(state.clone())
}

/// Somebody whose credential the server has made.
fn principal(state: &State, data: &path::Path, name: &str) -> Result<Principal, ServerError> {
    let credential = credentials::read(data, name).ok_or(ServerError::NoCredential)?;
    let known = state
        .identities
        .authenticate(&Token::presented(&credential.token))?;
    known.ok_or(ServerError::NoCredential)
}

/// What the public API does not tell: the rules of each environment.
async fn world(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
) -> Result<Json<inside::World>, Problem> {
    caller.must(&Right::Read, "read the environments")?;
    let environments = state
        .writer
        .world()
        .environments
        .values()
        .cloned()
        .collect();
    Ok(Json(inside::World { environments }))
}
