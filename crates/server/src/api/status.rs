//! `GET /status`: what runs where; waits for a change if asked to.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State as Extract};
use foreshore_identity::Right;
use foreshore_model::api::{AgentSeen, ServiceStatus, Status};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::access::Caller;
use crate::problem::Problem;
use crate::state::State;

/// How long to wait, and for what to change.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Wait {
    /// The version that the caller has.
    after: Option<String>,
    timeout: Option<u64>,
}

pub(crate) async fn get(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
    Query(wait): Query<Wait>,
) -> Result<Json<Status>, Problem> {
    caller.must(&Right::Read, "read the status")?;
    // A version of another run of the server is not a number of this one, or differs: either way, answer at once.
    if let Some(known) = wait.after.and_then(|version| version.parse().ok()) {
        state
            .changes
            .wait(known, Duration::from_secs(wait.timeout.unwrap_or(0)))
            .await;
    }
    Ok(Json(assemble(&state)))
}

/// Puts releases, holds, requests and outcomes together.
pub(crate) fn assemble(state: &State) -> Status {
    // Read before the world is: a change in between then shows as a newer version.
    let version = state.changes.version().to_string();
    let world = state.writer.world();
    let services = world
        .releases
        .iter()
        .map(|((environment, service), release)| ServiceStatus {
            service: service.clone(),
            environment: environment.clone(),
            release: release.clone(),
            hold: world
                .holds
                .get(&(environment.clone(), service.clone()))
                .cloned(),
            sites: world
                .environments
                .get(environment)
                .map_or_else(Vec::new, |environment| environment.sites.clone()),
            outcomes: state.outcomes.newest(environment, service),
            operations: world
                .operations
                .get(&(environment.clone(), service.clone()))
                .cloned()
                .unwrap_or_default(),
        })
        .collect();
    Status {
        version,
        commit: state.writer.tip(),
        services,
        requests: world.requests.values().cloned().collect(),
        agents: state
            .agents()
            .into_iter()
            .map(|(environment, at)| AgentSeen { environment, at })
            .collect(),
        builds: state.builds.shown(),
        webhook: state.webhook(),
    }
}
