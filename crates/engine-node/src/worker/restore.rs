//! Goes on where an earlier run of the node left off.

use foreshore_model::chain;

use super::ended::begun;
use super::{Begun, Worker};
use crate::container;
use crate::options::RuntimeKind;
use crate::pod::fields;
use crate::pod::state::{Phase, Preparation};

impl Worker {
    /// Finds out what has become of everything that was running.
    pub(super) async fn restore(&mut self) {
        if self.state.accepted_at.is_none() {
            self.state.accepted_at = Some(self.context.now());
            // A pod that ended before this node knew of it is not started again.
            let phase = self
                .pod
                .status
                .as_ref()
                .and_then(|status| status.phase.as_deref());
            self.state.is_over = matches!(phase, Some("Succeeded" | "Failed"));
        }
        if self.state.preparation == Preparation::Running {
            self.state.preparation = Preparation::Wanted;
        }
        if self.state.preparation == Preparation::Done {
            // Tokens are not kept on disk, so new ones are fetched at once.
            self.refreshing.at_once(self.context.now());
            if crate::prepare::has_memory_volumes(&self.pod) {
                self.state.preparation = Preparation::Wanted;
            }
        }
        let names: Vec<String> = fields::containers(&self.pod)
            .map(|(_, container)| container.name.clone())
            .collect();
        for name in names {
            let state = self.state.container(&name);
            let was_running = state.is_running();
            if !was_running && state.phase != Phase::Starting {
                continue;
            }
            // A stop under way is decided again.
            self.state.container_mut(&name).stopping = None;
            if self.context.options.runtime == RuntimeKind::Simulated {
                self.state.container_mut(&name).phase = Phase::default();
                continue;
            }
            self.find(&name, state.restarts, was_running).await;
        }
    }

    async fn find(&mut self, name: &str, attempt: u32, was_running: bool) {
        let container = fields::container(&self.pod, name)
            .cloned()
            .unwrap_or_default();
        let outcome = match container::find(&self.folder.attempt(name, attempt)).await {
            Ok(outcome) => outcome,
            Err(error) => {
                tracing::warn!(
                    error = chain(&error),
                    container = name,
                    "container was not found again"
                );
                container::Outcome::Lost(None)
            }
        };
        if let (container::Outcome::Lost(None), false) = (&outcome, was_running) {
            // The start never got as far as the shim.
            self.state.container_mut(name).phase = Phase::default();
            return;
        }
        match begun(&self.context, &container, attempt, outcome) {
            Begun::Running { live, since } => {
                let state = self.state.container_mut(name);
                state.phase = Phase::Running { since };
                // Readiness is as it was until the probe says otherwise.
                if !was_running {
                    state.is_started = container.startup_probe.is_none();
                    state.is_ready = container.readiness_probe.is_none();
                }
                self.attend(name, live);
            }
            Begun::Ended(finished) => {
                let state = self.state.container_mut(name);
                state.is_ready = false;
                state.is_started = false;
                state.unhealthy = None;
                state.phase = Phase::Ended(finished);
            }
        }
    }
}
