//! Nothing is written that did not come in through a trusted door.

use foreshore_model::{Phase, chain};
use tracing::warn;

use super::{Failure, Next, Worker};
use crate::desired::Desired;

impl Worker {
    /// Checks where the release comes from; what is not genuine is told by name and not written.
    ///
    /// What runs stays as it is. It is tried again: a registry comes back, and
    /// a signature that was lost is made anew when the server starts.
    pub(super) async fn trust(&mut self, desired: &Desired) -> Result<(), Next> {
        let Some(supply) = self.shared.supply.clone() else {
            return Ok(());
        };
        let Err(error) = supply.verify(desired).await else {
            return Ok(());
        };
        warn!(
            error = &error as &dyn std::error::Error,
            reason = error.reason(),
            release = desired.release.sequence,
            "artifact not trusted; release not written"
        );
        let causes = vec![Failure::cause("artifact", error.reason(), chain(&error))];
        let (phase, failure) = if error.is_refusal() {
            (Phase::Failed, Failure::Permanent(causes.clone()))
        } else {
            (Phase::Applying, Failure::Transient(causes.clone()))
        };
        let (first, most) = failure.pauses();
        self.retry.failed(first, most);
        self.tell(desired, phase, causes);
        Err(self.retry.next())
    }
}
