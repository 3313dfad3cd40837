//! Hands a decision to the writer and tells what became of it.

use foreshore_config_repo::{Answer, Job};
use foreshore_model::api::ReleaseAnswer;
use foreshore_release::{Decision, Refusal, World};
use jiff::Timestamp;

use crate::problem::Problem;
use crate::state::State;

/// Submits a decision; it is made again if somebody else moves first.
pub(crate) async fn submit(
    state: &State,
    key: String,
    decide: impl FnMut(&World, Timestamp) -> Result<Decision, Refusal> + Send + 'static,
) -> Result<Answer, Problem> {
    let answer = state
        .writer
        .submit(Job {
            key,
            decide: Box::new(decide),
        })
        .await;
    let answer = answer
        .map_err(|error| Problem::internal("cannot write to the config repository", &error))?;
    if let Answer::Refused(refusal) = answer {
        return Err(refusal.into());
    }
    state.changes.announce();
    Ok(answer)
}

/// Returns what a request with this key was answered before, if it was carried out.
///
/// A repeated request may name what its first copy has used up: an approved
/// request is closed, a rolled back release is no longer the newest.
pub(crate) async fn answered_before(state: &State, key: &str) -> Option<Answer> {
    let job = Job {
        key: key.to_owned(),
        decide: Box::new(|_, _| Ok(Decision::NotHeld)),
    };
    match state.writer.submit(job).await {
        Ok(answer @ Answer::Committed { .. }) => Some(answer),
        // The caller tells why it cannot go on; that is worth more than this.
        Ok(_) | Err(_) => None,
    }
}

/// Says a writer's answer about a release to the caller.
pub(crate) fn release_answer(answer: Answer) -> Result<ReleaseAnswer, Problem> {
    match answer {
        Answer::Committed {
            commit,
            release: Some(release),
            ..
        } => Ok(ReleaseAnswer::Committed { commit, release }),
        Answer::Unchanged(release) => Ok(ReleaseAnswer::Unchanged { release }),
        Answer::Requested { request, needed } => Ok(ReleaseAnswer::Requested { request, needed }),
        Answer::Refused(refusal) => Err(refusal.into()),
        Answer::Committed { release: None, .. } | Answer::NotHeld => Err(key_used_before()),
    }
}

/// The key made another kind of change earlier, so this request was not carried out.
pub(crate) fn key_used_before() -> Problem {
    Problem::new(
        foreshore_model::ExitCode::Conflict,
        "key-used-before",
        "the idempotency key was used before, for another kind of request",
    )
    .hint("send the request with a key of its own")
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.code, refusal.kind, refusal.message).hints(refusal.hints)
    }
}
