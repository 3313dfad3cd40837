//! How containers began and ended, in kubelet's words.

use std::path::Path;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Container;

use super::{Begun, Live};
use crate::container::{Outcome, RunningContainer};
use crate::context::Context;
use crate::pod::state::Finished;
use crate::shim::{Ending, Exit};

/// Largest last message that is taken from a container.
const MESSAGE_BYTES_MAX: usize = 4096;
/// Lines of the log that stand in for one.
const MESSAGE_LINES_MAX: usize = 80;

/// Waits until a container has ended, however it did.
pub(super) async fn wait_for_end(
    context: &Context,
    running: &RunningContainer,
    container: &Container,
    attempt: u32,
) -> Finished {
    match running.ended().await {
        Ok(Some(exit)) => finished(&exit, container, running.folder(), attempt),
        Ok(None) => lost(running.state.started_at, context.now(), attempt),
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "end of a container is not known"
            );
            lost(running.state.started_at, context.now(), attempt)
        }
    }
}

/// Nobody saw how it ended.
pub(super) fn lost(started_at: Timestamp, now: Timestamp, attempt: u32) -> Finished {
    Finished {
        code: 137,
        reason: "ContainerStatusUnknown".to_owned(),
        message: Some("The container could not be located when the pod was terminated".to_owned()),
        started_at,
        ended_at: now,
        attempt,
    }
}

pub(super) fn begun(
    context: &Context,
    container: &Container,
    attempt: u32,
    outcome: Outcome,
) -> Begun {
    match outcome {
        Outcome::Running(running) => {
            let since = running.state.started_at;
            Begun::Running {
                live: Live::Real(running),
                since,
            }
        }
        Outcome::Ended(exit, folder) => Begun::Ended(finished(&exit, container, &folder, attempt)),
        Outcome::Lost(state) => {
            let now = context.now();
            Begun::Ended(lost(
                state.map_or(now, |state| state.started_at),
                now,
                attempt,
            ))
        }
    }
}

/// An end in kubelet's words.
pub(super) fn finished(
    exit: &Exit,
    container: &Container,
    folder: &Path,
    attempt: u32,
) -> Finished {
    let (code, reason, message) = match &exit.ending {
        Ending::Exited { code: 0 } => (0, "Completed", None),
        Ending::Exited { code } if exit.out_of_memory => (*code, "OOMKilled", None),
        Ending::Signalled { signal } if exit.out_of_memory => (128 + signal, "OOMKilled", None),
        Ending::Exited { code } => (*code, "Error", None),
        Ending::Signalled { signal } => (128 + signal, "Error", None),
        Ending::NotStarted { message } => (128, "StartError", Some(message.clone())),
    };
    let message = message.or_else(|| last_message(container, folder, code));
    Finished {
        code,
        reason: reason.to_owned(),
        message,
        started_at: exit.started_at,
        ended_at: exit.finished_at,
        attempt,
    }
}

/// What the container left as its last words, or the end of its log where
/// the pod wants that.
fn last_message(container: &Container, folder: &Path, code: i32) -> Option<String> {
    // No file means no words.
    let mut bytes = std::fs::read(folder.join("termination-log")).unwrap_or_default();
    bytes.truncate(MESSAGE_BYTES_MAX);
    if !bytes.is_empty() {
        return Some(String::from_utf8_lossy(&bytes).into_owned());
    }
    let from_log = container.termination_message_policy.as_deref() == Some("FallbackToLogsOnError");
    if !from_log || code == 0 {
        return None;
    }
    let tail = crate::logs::last_lines(&folder.join("log"), MESSAGE_LINES_MAX, MESSAGE_BYTES_MAX);
    (!tail.is_empty()).then_some(tail)
}
