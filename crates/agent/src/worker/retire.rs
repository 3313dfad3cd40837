//! The end of a service here: everything it has goes, in reverse order.

use foreshore_cluster::Inventory;
use foreshore_model::outcome::Cause;
use foreshore_model::{Outcome, Phase, clock};
use tracing::{info, warn};

use super::{Failure, Next, Worker};
use crate::steps::retire_steps;

impl Worker {
    /// Removes what the service has; a tombstone says that its end is meant.
    pub(super) async fn retire(&mut self, commit: &str, confirmed: &[String]) -> Next {
        let Some(inventory) = self.inventory.clone() else {
            return Next::OnChange;
        };
        let is_new = inventory.entries.is_empty() && inventory.hooks.is_empty();
        if is_new && inventory.sequence == 0 {
            return Next::Done;
        }
        if let Some(due) = self.retry.waits() {
            return Next::At(due);
        }
        self.supersede(inventory.sequence + 1);
        let failure = match retire_steps(&inventory, confirmed) {
            Ok(mut stages) => {
                stages.insert(0, self.hook_jobs());
                self.remove(stages).await.err()
            }
            Err(refusal) => Some(Failure::of_refusal(&refusal)),
        };
        let Some(failure) = failure else {
            info!(release = inventory.sequence, "service retired");
            self.close(&inventory, commit, Phase::Retired, Vec::new());
            return Next::Done;
        };
        let (first, most) = failure.pauses();
        let is_first = self.retry.tries == 0;
        self.retry.failed(first, most);
        match failure {
            Failure::Transient(causes) => {
                warn!(
                    cause = causes.first().map(|cause| cause.message.as_str()),
                    "service not retired; will retry"
                );
            }
            Failure::Permanent(causes) if is_first => {
                self.close(&inventory, commit, Phase::Failed, causes);
            }
            Failure::Permanent(_) | Failure::Preempted => {}
        }
        self.retry.next()
    }

    async fn remove(&mut self, stages: Vec<crate::steps::Stage>) -> Result<(), Failure> {
        for stage in stages {
            if self.target.has_changed().unwrap_or(false) {
                return Err(Failure::Preempted);
            }
            self.execute(stage).await?;
        }
        Ok(())
    }

    /// Reports the end of the release that was last written.
    fn close(&self, inventory: &Inventory, commit: &str, phase: Phase, causes: Vec<Cause>) {
        // Without an artifact no release was ever written, and there is nothing to report on.
        let Some(artifact) = inventory.artifact.clone() else {
            return;
        };
        let outcome = Outcome {
            environment: self.owner.environment.clone(),
            site: self.shared.site.clone(),
            service: self.owner.service.clone(),
            sequence: inventory.sequence,
            artifact,
            commit: commit.to_owned(),
            phase,
            causes,
            at: clock::now(),
            operations: self.operated,
            verdicts: Vec::new(),
        };
        let entries = inventory.entries.iter();
        let about = entries.map(foreshore_cluster::Entry::reference).next();
        self.herald(&outcome, about);
        self.shared.reporter.report(outcome);
    }
}
