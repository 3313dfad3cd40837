//! The HTTP API under `/api/v1`, one file for each noun.

mod arrivals;
mod artifacts;
mod body;
mod holds;
mod info;
mod outcomes;
mod releases;
mod requests;
mod status;
mod submit;
mod tip;
mod tokens;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{delete, get, post, put};
use foreshore_model::ExitCode;

use crate::problem::Problem;
use crate::state::State;

pub(crate) use arrivals::{Arrived, act_on};
pub(crate) use status::assemble as status;

/// Outcomes of a hundred services with their logs stay far below.
const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;

pub(crate) fn router(state: Arc<State>) -> Router {
    let routes = Router::new()
        .route("/info", get(info::get))
        .route("/status", get(status::get))
        .route("/tip", get(tip::get))
        .route("/releases", post(releases::post))
        .route("/history/{environment}/{service}", get(releases::history))
        .route("/requests/{id}/approve", post(requests::approve))
        .route(
            "/holds/{environment}/{service}",
            put(holds::put).delete(holds::delete),
        )
        .route("/artifacts", get(artifacts::list))
        .route("/artifacts/{service}/{id}", get(artifacts::describe))
        .route("/arrivals", post(arrivals::post))
        .route("/outcomes", post(outcomes::post))
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
