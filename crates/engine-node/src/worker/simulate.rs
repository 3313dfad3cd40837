//! Pods that only seem to run, for scale tests and drills.
//!
//! Annotations of the pod direct them:
//! `foreshore.local/simulate-ready-after: SECONDS` (0 if absent),
//! `foreshore.local/simulate-crash: SECONDS` ends each container with code 1
//! that long after its start, `foreshore.local/simulate-exit: SECONDS` with
//! code 0, and `foreshore.local/simulate-pull-error: WORDS` keeps the image away.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};
use tokio_util::sync::CancellationToken;

use super::{Begun, Live, News};
use crate::pod::fields::{self, Role};
use crate::pod::probe::ProbeKind;
use crate::pod::state::Finished;
use crate::start::NotCreated;

const READY_AFTER: &str = "foreshore.local/simulate-ready-after";
const CRASH: &str = "foreshore.local/simulate-crash";
const EXIT: &str = "foreshore.local/simulate-exit";
const PULL_ERROR: &str = "foreshore.local/simulate-pull-error";

/// What a start of a simulated container leads to.
pub(super) fn start(pod: &Pod, container: &Container, attempt: u32, now: Timestamp) -> News {
    let name = container.name.clone();
    if let Some(words) = fields::annotation(pod, PULL_ERROR) {
        let why = NotCreated {
            reason: "ErrImagePull",
            message: words.to_owned(),
            is_pull: true,
        };
        return News::NotCreated {
            container: name,
            why,
        };
    }
    let image_id = container.image.clone().unwrap_or_default();
    let is_init = fields::containers(pod).any(|(role, its)| role == Role::Init && its.name == name);
    let begun = if is_init {
        Begun::Ended(finished(0, now, now, attempt))
    } else {
        Begun::Running {
            live: Live::Simulated(CancellationToken::new()),
            since: now,
        }
    };
    News::Begun {
        container: name,
        image_id,
        begun,
    }
}

/// Lives until it is stopped, or until its annotations say.
pub(super) async fn life(
    pod: Arc<Pod>,
    container: Arc<Container>,
    attempt: u32,
    end: CancellationToken,
) -> Option<News> {
    let started_at = foreshore_model::clock::now();
    let own_end = async {
        match (seconds(&pod, CRASH), seconds(&pod, EXIT)) {
            (Some(after), _) => {
                tokio::time::sleep(after).await;
                1
            }
            (None, Some(after)) => {
                tokio::time::sleep(after).await;
                0
            }
            (None, None) => std::future::pending().await,
        }
    };
    let code = tokio::select! {
        () = end.cancelled() => 0,
        code = own_end => code,
    };
    let finished = finished(code, started_at, foreshore_model::clock::now(), attempt);
    Some(News::Ended {
        container: container.name.clone(),
        finished,
    })
}

/// Becomes ready when its annotation says.
pub(super) async fn readiness(pod: Arc<Pod>, container: String, attempt: u32) -> Option<News> {
    tokio::time::sleep(seconds(&pod, READY_AFTER).unwrap_or_default()).await;
    Some(News::Verdict {
        container,
        attempt,
        kind: ProbeKind::Readiness,
        success: true,
    })
}

fn seconds(pod: &Pod, annotation: &str) -> Option<Duration> {
    let text = fields::annotation(pod, annotation)?;
    let text = text.strip_suffix('s').unwrap_or(text);
    // Words that are no number mean "at once", as an empty annotation does.
    let number: f64 = text.parse().unwrap_or(0.0);
    Some(Duration::try_from_secs_f64(number).unwrap_or_default())
}

fn finished(code: i32, started_at: Timestamp, ended_at: Timestamp, attempt: u32) -> Finished {
    let reason = if code == 0 { "Completed" } else { "Error" };
    Finished {
        code,
        reason: reason.to_owned(),
        message: None,
        started_at,
        ended_at,
        attempt,
    }
}
