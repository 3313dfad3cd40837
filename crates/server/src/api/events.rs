//! `GET /events`: the status as a live stream, one event for each change.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as Extract;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use foreshore_identity::Right;
use futures::Stream;

use super::status::assemble;
use crate::access::Caller;
use crate::problem::Problem;
use crate::state::State;

/// Several changes within this time are one event.
const CALM: Duration = Duration::from_millis(100);

pub(crate) async fn get(
    Extract(state): Extract<Arc<State>>,
    caller: Caller,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    caller.must(&Right::Read, "read the status")?;
    let first = true;
    let stream = futures::stream::unfold((state, first), |(state, first)| async move {
        if !first {
            let known = state.changes.version();
            state.changes.wait(known, Duration::from_hours(1)).await;
            tokio::time::sleep(CALM).await;
        }
        let status = assemble(&state);
        let event = Event::default().event("status").id(status.version.clone());
        // The status is plain data; if it could not be written, a comment keeps the stream alive.
        let event = event
            .json_data(&status)
            .unwrap_or_else(|_| Event::default().comment("no status"));
        Some((Ok(event), (state, false)))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::default()))
}
