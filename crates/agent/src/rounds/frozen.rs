//! An alarm where the config repository is not what it was.

use std::error::Error;

use foreshore_cluster::Reference;
use foreshore_model::clock;
use tracing::error;

use super::Rounds;
use crate::herald::alarm;
use crate::source::SourceError;

impl Rounds {
    /// Says once, in every environment that is worked on, that nothing more is taken from git.
    pub(super) fn sound_alarm(&mut self, problem: &SourceError, why: &str) {
        error!(
            error = problem as &dyn Error,
            "config repository is frozen; keeping what runs"
        );
        if self.alarmed.as_deref() == Some(why) {
            return;
        }
        self.alarmed = Some(why.to_owned());
        for (environment, lead) in &self.leads {
            let known = self.known.get(environment);
            let Some(namespace) = known.and_then(|known| known.namespace.as_deref()) else {
                continue;
            };
            let site = &self.shared.site;
            let name = format!("foreshore-agent.{environment}.{site}");
            let lease = Reference::new("coordination.k8s.io/v1", "Lease", namespace, name);
            let event = alarm(&lease, site.as_str(), why, clock::now());
            self.shared.herald.say(&lead.cluster, event);
        }
    }
}
