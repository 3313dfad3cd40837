//! Waiting for the services that this one depends on.

use std::time::Duration;

use foreshore_model::Phase;
use tracing::warn;

use super::{Failure, Next, Worker};
use crate::dependencies::{Hold, Reached};
use crate::desired::Desired;

/// How soon a service that waits looks again, although it is told when something moves.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

impl Worker {
    /// Waits until every service that this one depends on is well.
    pub(super) fn wait_for_dependencies(&mut self, desired: &Desired) -> Result<(), Next> {
        let standings = &self.shared.standings;
        let answer = standings.ask(&self.owner, &desired.dependencies);
        if let Some(circle) = &answer.circle {
            let circle: Vec<&str> = circle
                .iter()
                .map(foreshore_model::ServiceName::as_str)
                .collect();
            let circle = circle.join(" -> ");
            warn!(
                circle,
                "services depend on each other in a circle; none of them waits for the next"
            );
            self.circle = Some(circle);
        } else {
            self.circle = None;
        }
        let Some(Hold { service, failure }) = answer.hold else {
            return Ok(());
        };
        let cause = match failure {
            None => Failure::cause(
                "release",
                "WaitsForDependency",
                format!(
                    "nothing is written yet: waits until service `{service}`, which it depends on, is healthy"
                ),
            ),
            Some(why) => Failure::cause(
                "release",
                "DependencyFailed",
                format!(
                    "nothing is written: service `{service}`, which it depends on, failed: {why}"
                ),
            ),
        };
        self.tell(desired, Phase::Progressing, vec![cause]);
        Err(Next::after(LOOK_AGAIN))
    }

    /// Says what the services that depend on this one may know, and wakes them.
    pub(super) fn reach(&self, tree: &str, reached: Reached) {
        let concerned = self.shared.standings.reach(&self.owner, tree, reached);
        for owner in concerned {
            self.shared.world.nudge(&owner);
        }
    }

    /// The same for a release in this phase; one that degrades was well before.
    pub(super) fn reach_phase(
        &self,
        desired: &Desired,
        phase: Phase,
        causes: &[foreshore_model::outcome::Cause],
    ) {
        let reached = match phase {
            Phase::Healthy => Reached::Well,
            Phase::Failed => Reached::Failed {
                why: causes.first().map_or_else(
                    || "not healthy".to_owned(),
                    |cause| format!("{}: {}", cause.object, cause.message),
                ),
            },
            Phase::Applying | Phase::Progressing => Reached::OnItsWay,
            _ => return,
        };
        self.reach(&desired.tree, reached);
    }
}
