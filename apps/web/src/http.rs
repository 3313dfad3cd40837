//! What the front answers.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use crate::api::Api;

/// What every answer is made from.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) api: Api,
    pub(crate) version: Option<String>,
}

pub(crate) fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/health", get(|| async { "ok\n" }))
        .route("/info", get(info))
        .route("/metrics", get(metrics))
        .with_state(service)
}

async fn page(State(service): State<Arc<Service>>) -> Response {
    match service.api.visit().await {
        Ok(visits) => Html(format!(
            "<!doctype html>\n<html lang=\"en\"><title>web</title>\n<p>You are visit number <b>{visits}</b>.</p></html>\n"
        ))
        .into_response(),
        Err(error) => {
            tracing::warn!(error = format!("{error:#}"), "api did not answer");
            (StatusCode::BAD_GATEWAY, format!("the api did not answer: {error:#}\n")).into_response()
        }
    }
}

async fn info(State(service): State<Arc<Service>>) -> Json<serde_json::Value> {
    Json(json!({ "service": "web", "version": service.version }))
}

async fn metrics(State(service): State<Arc<Service>>) -> String {
    let (calls, failures) = service.api.counts();
    format!(
        "# HELP api_calls_total Calls to the api.\n# TYPE api_calls_total counter\napi_calls_total {calls}\n\
         # HELP api_failures_total Calls to the api that failed.\n# TYPE api_failures_total counter\napi_failures_total {failures}\n"
    )
}
