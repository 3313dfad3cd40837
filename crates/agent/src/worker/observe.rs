//! Looking at what runs: health, phase, logs of what broke, and what may go now.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use foreshore_cluster::Reference;
use foreshore_health::{Context, Health, Related, State, aggregate, assess};
use foreshore_model::outcome::Cause;
use foreshore_model::{Phase, clock};
use serde_json::Value;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::{Failure, Next, Worker};
use crate::desired::Desired;
use crate::hooks::Moment;
use crate::steps::prune_steps;

/// How often a service that is not settled is looked at without any event:
/// several rules depend on the time. Nothing is asked of the cluster for it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Lines of a log that a cause carries.
const LOG_LINES: usize = 20;
/// How long the logs of a broken release may take.
const LOG_PATIENCE: Duration = Duration::from_secs(3);

/// How long a moment that is to come is away; a little more, so that it has come then.
fn until(moment: jiff::Timestamp, now: jiff::Timestamp) -> Duration {
    let away = Duration::try_from(moment.duration_since(now)).unwrap_or(Duration::ZERO);
    away + Duration::from_millis(10)
}

impl Worker {
    /// Judges the service, heals what drifted, reports, and prunes once it is well.
    pub(super) async fn observe(&mut self, desired: &Desired) -> Next {
        if let Err(next) = self.watched(desired).await {
            return next;
        }
        if !desired.operations.paused
            && let Some(next) = self.heal(desired).await
        {
            return next;
        }
        let health = self.health(desired);
        let now = clock::now();
        let phase = self.course.look(health.state, now);
        let mut causes = health.causes;
        let mut phase = phase;
        if phase == Phase::Progressing && self.is_late(now) {
            let message = format!("not healthy after {:?}", self.shared.rollout_timeout);
            causes.insert(0, Failure::cause("release", "DeadlineExceeded", message));
            causes.truncate(foreshore_health::CAUSES_MAX);
            phase = Phase::Failed;
        }
        if phase == Phase::Healthy
            && let Err(next) = self.hooks(desired, Moment::After).await
        {
            return next;
        }
        let waits_for = match phase {
            Phase::Healthy => self.check(desired).await,
            _ => None,
        };
        let is_checked = waits_for.is_none();
        if let Some(cause) = waits_for {
            phase = Phase::Progressing;
            causes = vec![cause];
        }
        self.reach_phase(desired, phase, &causes);
        if self.is_news(desired, phase, &causes) {
            if matches!(phase, Phase::Failed | Phase::Degraded) {
                self.add_logs(&mut causes).await;
            }
            self.tell(desired, phase, causes);
        }
        if phase == Phase::Healthy && !desired.operations.paused {
            self.prune_rest(desired).await;
        }
        let is_settled = self.course.is_settled() && is_checked;
        let next = match (is_settled, self.prune_retry.due) {
            (true, None) if self.all_shown() => Next::OnChange,
            (true, Some(due)) => Next::At(due),
            _ => Next::after(LOOK_AGAIN),
        };
        let next = match self.rescale_due {
            Some(due) => next.at_latest(due.saturating_duration_since(Instant::now())),
            None => next,
        };
        match desired.operations.next_change(now) {
            Some(moment) => next.at_latest(until(moment, now)),
            None => next,
        }
    }

    /// After a restart nothing is watched yet; nothing is judged before all is listed.
    async fn watched(&mut self, desired: &Desired) -> Result<(), Next> {
        if let Some(due) = self.retry.waits() {
            return Err(Next::At(due));
        }
        let Err(failure) = self.watch_kinds(desired).await else {
            self.retry.reset();
            return Ok(());
        };
        let (first, most) = failure.pauses();
        self.retry.failed(first, most);
        if let Failure::Permanent(causes) | Failure::Transient(causes) = failure {
            warn!(
                cause = causes.first().map(|cause| cause.message.as_str()),
                "service cannot be watched; will retry"
            );
        }
        Err(self.retry.next())
    }

    fn is_late(&self, now: jiff::Timestamp) -> bool {
        let waited = Duration::try_from(now.duration_since(self.since)).unwrap_or(Duration::ZERO);
        waited >= self.shared.rollout_timeout
    }

    /// Whether a watch has shown everything that was made; until then the world is behind.
    fn all_shown(&self) -> bool {
        self.written.values().all(|written| written.shown)
    }

    fn health(&self, desired: &Desired) -> Health {
        let mut answers: Vec<Health> = desired
            .references()
            .map(|reference| self.health_of(&reference))
            .collect();
        for name in desired.unknown_workloads() {
            let message = "operations.yaml sets its replicas, but the release has no such workload";
            let cause = Failure::cause(&format!("workload/{name}"), "UnknownWorkload", message);
            answers.push(Health {
                state: State::Current,
                causes: vec![cause],
            });
        }
        aggregate(&answers)
    }

    pub(super) fn health_of(&self, reference: &Reference) -> Health {
        let seen = self.shared.world.find(reference);
        let family: Vec<Arc<Value>> = seen
            .as_ref()
            .map_or_else(Vec::new, |seen| self.shared.world.descendants(seen.uid()));
        let related: Vec<&Value> = family.iter().map(AsRef::as_ref).collect();
        let context = Context {
            now: clock::now(),
            since: self.since,
            applied: self
                .written
                .get(reference)
                .map(|written| written.resource_version.as_str()),
            options: &self.shared.health,
        };
        let object = seen.as_ref().map(|seen| seen.object.as_ref());
        assess(
            &reference.to_string(),
            object,
            Related {
                objects: &related,
                listed: &[],
            },
            &context,
        )
    }

    /// Adds the last log lines of containers that ended; a log that cannot be read is left out.
    pub(super) async fn add_logs(&self, causes: &mut [Cause]) {
        let deadline = Instant::now() + LOG_PATIENCE;
        let mut read: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        for cause in causes.iter_mut() {
            let (Some(pod), Some(container)) =
                (cause.object.strip_prefix("Pod/"), &cause.container)
            else {
                continue;
            };
            if cause.exit_code.is_none() {
                continue;
            }
            let key = (pod.to_owned(), container.clone());
            if !read.contains_key(&key) {
                let lines = tokio::time::timeout_at(deadline, self.log(pod, container)).await;
                read.insert(key.clone(), lines.unwrap_or_default());
            }
            cause.log.clone_from(&read[&key]);
        }
    }

    /// The log of the run that ended, or of the present one if the node kept no other.
    async fn log(&self, pod: &str, container: &str) -> Vec<String> {
        for previous in [true, false] {
            let cluster = &self.shared.cluster;
            match cluster
                .log_tail(&self.namespace, pod, container, LOG_LINES, previous)
                .await
            {
                Ok(lines) if !lines.is_empty() => return lines,
                Ok(_) => {}
                Err(error) => debug!(
                    error = &error as &dyn std::error::Error,
                    pod, container, previous, "log not read"
                ),
            }
        }
        Vec::new()
    }

    /// Removes what the release does not have any more.
    async fn prune_rest(&mut self, desired: &Desired) {
        if self.prune_retry.waits().is_some() {
            return;
        }
        let Some(inventory) = &self.inventory else {
            return;
        };
        let stages = prune_steps(desired, inventory);
        for stage in stages {
            if let Err(failure) = self.execute(stage).await {
                let (Failure::Permanent(causes) | Failure::Transient(causes)) = &failure else {
                    return;
                };
                let cause = causes.first().map(|cause| cause.message.as_str());
                warn!(
                    cause,
                    "objects of an earlier release not removed; will retry"
                );
                self.prune_retry
                    .failed(Duration::from_secs(5), Duration::from_mins(5));
                return;
            }
        }
        self.prune_retry.reset();
    }
}
