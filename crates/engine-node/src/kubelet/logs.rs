//! `GET /containerLogs/{namespace}/{pod}/{container}`.

use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::follow::{Reader, Wish};
use crate::context::Context;
use crate::folders::PodFolder;
use crate::options::RuntimeKind;
use crate::pod::backoff::later;
use crate::pod::state::Phase;

/// Answers waiting for a slow client; the log itself is the buffer behind it.
const CHUNKS: usize = 4;

/// What kubectl asks by.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct LogQuery {
    follow: Option<String>,
    previous: Option<String>,
    timestamps: Option<String>,
    tail_lines: Option<String>,
    limit_bytes: Option<String>,
    since_seconds: Option<String>,
    since_time: Option<String>,
    stream: Option<String>,
}

impl LogQuery {
    fn wish(&self, now: Timestamp) -> Result<Wish, String> {
        let number = |name: &str, value: &Option<String>| {
            let Some(text) = value else { return Ok(None) };
            text.parse::<u64>()
                .map(Some)
                .map_err(|_| format!("`{name}` must be a number, not `{text}`"))
        };
        let since = match (
            &self.since_time,
            number("sinceSeconds", &self.since_seconds)?,
        ) {
            (Some(text), _) => Some(
                text.parse()
                    .map_err(|_| format!("`sinceTime` must be a time, not `{text}`"))?,
            ),
            (None, Some(seconds)) => {
                let seconds = i64::try_from(seconds).unwrap_or(i64::MAX / 2);
                Some(later(now, SignedDuration::from_secs(-seconds)))
            }
            (None, None) => None,
        };
        if let Some(stream) = self.stream.as_deref().filter(|stream| *stream != "All") {
            return Err(format!("`stream` can only be `All`, not `{stream}`"));
        }
        Ok(Wish {
            follow: is_set(self.follow.as_ref()),
            timestamps: is_set(self.timestamps.as_ref()),
            tail_lines: number("tailLines", &self.tail_lines)?
                .map(|lines| usize::try_from(lines).unwrap_or(usize::MAX)),
            limit_bytes: number("limitBytes", &self.limit_bytes)?,
            since,
        })
    }
}

fn is_set(value: Option<&String>) -> bool {
    value.is_some_and(|value| matches!(value.as_str(), "true" | "1" | ""))
}

pub(super) async fn logs(
    State(context): State<Arc<Context>>,
    Path((namespace, pod, container)): Path<(String, String, String)>,
    Query(query): Query<LogQuery>,
) -> Response {
    let wish = match query.wish(context.now()) {
        Ok(wish) => wish,
        Err(words) => return (StatusCode::BAD_REQUEST, words).into_response(),
    };
    if context.options.runtime == RuntimeKind::Simulated {
        return synthetic(&context, &namespace, &pod, &container, &wish);
    }
    let folder = match find(
        &context,
        &namespace,
        &pod,
        &container,
        is_set(query.previous.as_ref()),
    ) {
        Ok(folder) => folder,
        Err((status, words)) => return (status, words).into_response(),
    };
    let (chunks, stream) = tokio::sync::mpsc::channel(CHUNKS);
    let reader = Reader::new(folder, wish);
    tokio::spawn(reader.send(chunks));
    let body = Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(stream));
    ([(header::CONTENT_TYPE, "text/plain")], body).into_response()
}

/// The log of a container that only seems to run: one line, which says that.
fn synthetic(
    context: &Context,
    namespace: &str,
    pod: &str,
    container: &str,
    wish: &Wish,
) -> Response {
    let record = context.record(namespace, pod);
    let begun = record.and_then(|record| {
        let state = record.state.containers.get(container)?;
        match (&state.phase, &state.last) {
            (Phase::Running { since }, _) => Some(*since),
            (Phase::Ended(finished), _) | (_, Some(finished)) => Some(finished.started_at),
            _ => None,
        }
    });
    let Some(begun) = begun else {
        let words = format!("container \"{container}\" in pod \"{pod}\" is waiting to start\n");
        return (StatusCode::BAD_REQUEST, words).into_response();
    };
    let time = if wish.timestamps {
        format!("{begun} ")
    } else {
        String::new()
    };
    let text = if wish.tail_lines == Some(0) {
        String::new()
    } else {
        format!(
            "{time}synthetic: container \"{container}\" of pod \"{pod}\" is simulated; nothing runs in it, and this line is all it logs\n"
        )
    };
    ([(header::CONTENT_TYPE, "text/plain")], text).into_response()
}

/// The folder of the start whose log is wanted.
fn find(
    context: &Context,
    namespace: &str,
    pod: &str,
    container: &str,
    previous: bool,
) -> Result<PathBuf, (StatusCode, String)> {
    let not_found = |words: String| Err((StatusCode::NOT_FOUND, words));
    let Some(record) = context.record(namespace, pod) else {
        return not_found(format!("pod \"{pod}\" not found\n"));
    };
    let Some(state) = record.state.containers.get(container) else {
        let words = format!("container \"{container}\" in pod \"{pod}\" is waiting to start\n");
        return Err((StatusCode::BAD_REQUEST, words));
    };
    let folder = PodFolder::new(&context.options.root, &record.uid);
    let current = folder.attempt(container, state.restarts);
    let before = |attempt: u32| {
        attempt
            .checked_sub(1)
            .map(|attempt| folder.attempt(container, attempt))
    };
    // While a new start is made ready, the log to look at is the last one.
    let path = match (previous, current.join("log").exists()) {
        (false, true) => Some(current),
        (false, false) | (true, _) => before(state.restarts),
    };
    match path.filter(|path| path.join("log").exists()) {
        Some(path) => Ok(path),
        None if previous => Err((
            StatusCode::BAD_REQUEST,
            format!("previous terminated container \"{container}\" in pod \"{pod}\" not found\n"),
        )),
        None => Err((
            StatusCode::BAD_REQUEST,
            format!("container \"{container}\" in pod \"{pod}\" is waiting to start\n"),
        )),
    }
}
