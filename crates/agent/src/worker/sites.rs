//! Sites of one environment that take a release one after the other.

use std::time::Duration;

use foreshore_model::Phase;
use tracing::warn;

use super::{Failure, Next, Worker};
use crate::desired::Desired;

/// How soon a site that waits asks about the one before it again.
const ASK_AGAIN: Duration = Duration::from_secs(2);

impl Worker {
    /// Waits until every site before this one is healthy with the release.
    pub(super) async fn wait_for_sites(&mut self, desired: &Desired) -> Result<(), Next> {
        let before = self.rules.sites_before.clone();
        if before.is_empty() {
            return Ok(());
        }
        let Some(server) = self.shared.server.clone() else {
            let message =
                "sites follow each other, and without a server nobody can say how the others are";
            let cause = Failure::cause("environment", "SitesUnknown", message);
            self.tell(desired, Phase::Failed, vec![cause]);
            return Err(Next::OnChange);
        };
        let (environment, service) = (&self.owner.environment, &self.owner.service);
        let outcomes = match server.outcomes(environment, service).await {
            Ok(outcomes) => outcomes,
            Err(error) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "other sites not known; will retry"
                );
                return Err(Next::after(ASK_AGAIN));
            }
        };
        let sequence = desired.release.sequence;
        let is_ready = |site: &foreshore_model::SiteName| {
            outcomes.iter().any(|outcome| {
                outcome.site == *site
                    && outcome.sequence == sequence
                    && outcome.phase == Phase::Healthy
            })
        };
        let Some(waits_for) = before.iter().find(|site| !is_ready(site)) else {
            return Ok(());
        };
        let message = format!("waits until site `{waits_for}` is healthy with number {sequence}");
        let cause = Failure::cause("environment", "WaitsForSite", message);
        self.tell(desired, Phase::Progressing, vec![cause]);
        Err(Next::after(ASK_AGAIN))
    }
}
