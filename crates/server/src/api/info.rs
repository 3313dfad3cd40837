//! `GET /info`: which server this is, and who the caller is to it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Extract;
use foreshore_model::api::Info;

use crate::access::Caller;
use crate::state::State;

pub(crate) async fn get(
    Extract(state): Extract<Arc<State>>,
    Caller(principal): Caller,
) -> Json<Info> {
    Json(Info {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        registry: state.registry.clone(),
        actor: Some(principal.actor),
        environments: state.writer.world().environments.keys().cloned().collect(),
        ingress: state.ingress.clone(),
        signing_key: Some(state.artifacts.key().to_string()),
    })
}
