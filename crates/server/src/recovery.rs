//! Brings the last healthy artifact back after a failure, where a policy asks for it.

use foreshore_model::{Intent, Outcome, Phase, Verdict, clock};
use foreshore_release::{Selected, decide, recovery};

use crate::api::submit;
use crate::state::State;

/// Acts on an outcome; a failure of it is logged and told by the next outcome again.
pub(crate) async fn recover(state: &State, outcome: &Outcome) {
    let failed = outcome.phase == Phase::Failed || outcome.verdicts.iter().any(Verdict::is_breach);
    if !failed {
        return;
    }
    let Some(found) = recovery(&state.world(), outcome, clock::now()) else {
        return;
    };
    let selected = Selected::Digest {
        digest: found.artifact.clone(),
        intent: Intent::Release,
    };
    let artifact = match state.artifacts.find(&outcome.service, selected).await {
        Ok((artifact, _)) => artifact,
        Err(problem) => {
            tracing::error!(
                service = %outcome.service,
                environment = %outcome.environment,
                error = problem.message(),
                "failed release is not rolled back: its earlier artifact cannot be read"
            );
            return;
        }
    };
    let wish = found.wish(outcome, artifact);
    let submitted = submit(state, wish.key.clone(), move |world, now| {
        decide(world, &wish, now)
    })
    .await;
    match submitted {
        Ok(_) => tracing::warn!(
            service = %outcome.service,
            environment = %outcome.environment,
            release = outcome.sequence,
            policy = %found.policy,
            "failed release rolled back"
        ),
        Err(problem) => tracing::error!(
            service = %outcome.service,
            environment = %outcome.environment,
            error = problem.message(),
            "failed release is not rolled back"
        ),
    }
}
