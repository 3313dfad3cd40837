//! What is said about a service, and when it is not worth saying again.

use std::time::Duration;

use foreshore_cluster::Reference;
use foreshore_model::outcome::Cause;
use foreshore_model::{Outcome, Phase, clock};
use tokio::time::Instant;

use super::{Failure, Told, Worker};
use crate::desired::Desired;
use crate::herald::event;

/// New words about the same phase of a rollout wait this long: counts of
/// replicas change many times a second, and each report is kept in git.
const CHATTER: Duration = Duration::from_secs(2);

/// What makes causes worth a new report; names of pods and counts do not.
fn essence(causes: &[Cause]) -> Vec<(Option<&str>, &str, Option<i32>)> {
    let mut parts: Vec<_> = causes
        .iter()
        .map(|cause| {
            (
                cause.container.as_deref(),
                cause.reason.as_str(),
                cause.exit_code,
            )
        })
        .collect();
    parts.sort_unstable();
    parts.dedup();
    parts
}

fn is_workload(kind: &str) -> bool {
    matches!(kind, "Deployment" | "StatefulSet" | "DaemonSet")
}

impl Worker {
    pub(super) fn is_told(&self, desired: &Desired, phase: Phase) -> bool {
        self.told
            .as_ref()
            .is_some_and(|told| told.sequence == desired.release.sequence && told.phase == phase)
    }

    /// Whether a report of this would say anything new.
    pub(super) fn is_news(&self, desired: &Desired, phase: Phase, causes: &[Cause]) -> bool {
        let Some(told) = &self.told else { return true };
        if told.sequence != desired.release.sequence
            || told.phase != phase
            || told.operations != self.operated
        {
            return true;
        }
        if essence(&told.causes) == essence(causes) {
            return false;
        }
        let names_a_container = causes.iter().any(|cause| cause.container.is_some());
        phase != Phase::Progressing || names_a_container || told.at.elapsed() >= CHATTER
    }

    /// Reports a phase unless it was reported already.
    pub(super) fn tell(&mut self, desired: &Desired, phase: Phase, causes: Vec<Cause>) {
        self.reach_phase(desired, phase, &causes);
        if !self.is_news(desired, phase, &causes) {
            return;
        }
        // A service that was found well at a start is no news to the cluster.
        let is_found = self.told.is_none() && phase == Phase::Healthy;
        self.told = Some(Told {
            sequence: desired.release.sequence,
            artifact: desired.release.artifact.clone(),
            commit: desired.commit.clone(),
            phase,
            causes: causes.clone(),
            operations: self.operated,
            at: Instant::now(),
        });
        let outcome = self.outcome(desired, phase, causes);
        if !is_found {
            let about = desired
                .references()
                .find(|reference| is_workload(&reference.kind))
                .or_else(|| desired.references().next());
            self.herald(&outcome, about);
        }
        self.shared.reporter.report(outcome);
    }

    /// Says an outcome in the cluster, about the workload of the service.
    pub(super) fn herald(&self, outcome: &Outcome, about: Option<Reference>) {
        let Some(about) = about.filter(|about| !about.namespace.is_empty()) else {
            return;
        };
        let seen = self.shared.world.find(&about);
        let uid = seen.as_ref().map_or("", |seen| seen.uid());
        if let Some(event) = event(outcome, &about, uid) {
            self.shared.herald.say(&self.base, event);
        }
    }

    pub(super) fn tell_paused(&mut self, desired: &Desired) {
        let message = "operations.yaml pauses the service; nothing is written";
        self.tell(
            desired,
            Phase::Progressing,
            vec![Failure::cause("operations", "Paused", message)],
        );
    }

    /// Closes the account of a release that a newer one replaces on its way.
    pub(super) fn supersede(&mut self, sequence: u64) {
        let Some(told) = &self.told else { return };
        if told.sequence == sequence || !matches!(told.phase, Phase::Applying | Phase::Progressing)
        {
            return;
        }
        let message = format!("release {sequence} took its place");
        let outcome = Outcome {
            environment: self.owner.environment.clone(),
            site: self.shared.site.clone(),
            service: self.owner.service.clone(),
            sequence: told.sequence,
            artifact: told.artifact.clone(),
            commit: told.commit.clone(),
            phase: Phase::Superseded,
            causes: vec![Failure::cause("release", "Superseded", message)],
            at: clock::now(),
            operations: told.operations,
            verdicts: Vec::new(),
        };
        self.told = None;
        self.shared.reporter.report(outcome);
    }
}
