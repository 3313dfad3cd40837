//! The HTTP API under `/api/v1`, one file for each noun.

mod arrivals;
mod artifacts;
mod audit;
mod body;
mod builds;
mod events;
mod explain;
mod holds;
mod info;
mod loads;
mod operations;
mod outcomes;
mod previews;
mod released;
mod releases;
mod requests;
mod retire;
mod rules;
mod secrets;
mod status;
mod submit;
mod tip;
mod tokens;
mod wish;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{delete, get, post, put};
use foreshore_model::ExitCode;

use crate::problem::Problem;
use crate::state::State;

pub(crate) use arrivals::{Arrived, act_on};
pub(crate) use status::assemble as status;
pub(crate) use submit::submit;

/// Outcomes of a hundred services with their logs stay far below.
const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;

pub(crate) fn router(state: Arc<State>) -> Router {
    let routes = Router::new()
        .route("/info", get(info::get))
        .route("/status", get(status::get))
        .route("/tip", get(tip::get))
        .route("/events", get(events::get))
        .route("/releases", post(releases::post))
        .route("/history/{environment}/{service}", get(releases::history))
        .route("/explain", post(explain::post))
        .route("/diff", post(explain::diff))
        .route("/diff/{environment}/{service}", get(explain::between))
        .route("/audit", get(audit::get))
        .route(
            "/describe/release/{environment}/{service}",
            get(audit::release),
        )
        .route("/requests", get(requests::open))
        .route("/requests/{id}", get(explain::request))
        .route("/requests/{id}/files", get(explain::files))
        .route("/requests/{id}/approve", post(requests::approve))
        .route("/previews", post(previews::post))
        .route("/loads", get(loads::list))
        .route("/loads/{id}", put(loads::put))
        .route(
            "/operations/{environment}/{service}",
            post(operations::post),
        )
        .route("/retire/{environment}/{service}", post(retire::post))
        .route("/removals/{environment}/{service}", post(retire::confirm))
        .route("/policies", get(rules::policies))
        .route(
            "/policies/{name}",
            put(rules::put_policy).delete(rules::delete_policy_named),
        )
        .route("/freezes", get(rules::freezes))
        .route(
            "/freezes/{name}",
            put(rules::put_freeze).delete(rules::delete_freeze),
        )
        .route(
            "/holds/{environment}/{service}",
            put(holds::put).delete(holds::delete),
        )
        .route("/artifacts", get(artifacts::list))
        .route("/artifacts/{service}/{id}", get(artifacts::describe))
        .route("/arrivals", post(arrivals::post))
        .route("/builds", get(builds::list))
        .route("/builds/{id}/log", get(builds::log))
        .route("/outcomes", post(outcomes::post))
        .route("/outcomes/{environment}/{service}", get(outcomes::get))
        .route("/secrets/{environment}/{service}", get(secrets::list))
        .route(
            "/secrets/{environment}/{service}/{name}",
            put(secrets::put).delete(secrets::delete),
        )
        .route("/tokens", post(tokens::post))
        .route("/tokens/{name}", delete(tokens::delete))
        .fallback(|| async {
            Problem::new(
                ExitCode::NotFound,
                "not-found",
                "the server has no such path",
            )
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(state);
    Router::new().nest("/api/v1", routes)
}
