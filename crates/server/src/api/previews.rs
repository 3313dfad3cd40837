//! `POST /previews`: agents tell what their API server would make of a request.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Extract;
use foreshore_identity::Right;
use foreshore_model::api::SitePreview;

use super::body::Body;
use crate::access::Caller;
use crate::problem::Problem;
use crate::state::State;

pub(crate) async fn post(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
    Body(preview): Body<SitePreview>,
) -> Result<Json<bool>, Problem> {
    caller.must(&Right::Report, "report previews")?;
    let known = state
        .writer
        .world()
        .requests
        .get(&preview.request)
        .is_some_and(|request| request.artifact == preview.artifact);
    if known {
        state.previews.put(preview);
        state.changes.announce();
    }
    Ok(Json(known))
}
