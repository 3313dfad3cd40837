//! `GET /tip`: tells an agent as soon as the config repository has moved.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State as Extract};
use foreshore_identity::Right;
use foreshore_model::api::Tip;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::access::Caller;
use crate::problem::Problem;
use crate::state::State;

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Wait {
    /// The commit that the caller has.
    after: Option<String>,
    timeout: Option<u64>,
}

pub(crate) async fn get(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
    Query(wait): Query<Wait>,
) -> Result<Json<Tip>, Problem> {
    caller.must(&Right::Read, "read the config repository")?;
    if let Some(known) = wait.after {
        let limit = Duration::from_secs(wait.timeout.unwrap_or(0));
        state
            .changes
            .wait_until(limit, |_| state.writer.tip() != known)
            .await;
    }
    Ok(Json(Tip {
        commit: state.writer.tip(),
    }))
}
