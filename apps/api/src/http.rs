//! What the service answers.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use crate::visits::Visits;

/// What every answer is made from.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) visits: Visits,
    pub(crate) version: Option<String>,
}

pub(crate) fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/visits", get(count).post(add))
        .route("/health", get(health))
        .route("/info", get(info))
        .route("/metrics", get(metrics))
        .with_state(service)
}

fn answer(count: rusqlite::Result<u64>) -> Response {
    match count {
        Ok(visits) => Json(json!({ "visits": visits })).into_response(),
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "database did not answer"
            );
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                "database did not answer\n",
            )
                .into_response()
        }
    }
}

async fn count(State(service): State<Arc<Service>>) -> Response {
    answer(service.visits.count())
}

async fn add(State(service): State<Arc<Service>>) -> Response {
    answer(service.visits.add())
}

async fn health(State(service): State<Arc<Service>>) -> Response {
    answer(service.visits.count())
}

async fn info(State(service): State<Arc<Service>>) -> Json<serde_json::Value> {
    Json(json!({ "service": "api", "version": service.version }))
}

async fn metrics(State(service): State<Arc<Service>>) -> Response {
    match service.visits.count() {
        Ok(count) => format!(
            "# HELP visits_total Visits counted since the database was made.\n# TYPE visits_total counter\nvisits_total {count}\n"
        )
        .into_response(),
        Err(error) => answer(Err(error)),
    }
}
