//! What somebody else changed or removed is found by watching, checked by a dry run, and put right.

use std::time::Duration;

use foreshore_cluster::{ApplyMode, Reference, fingerprint, same_content};
use foreshore_model::config::Drift;
use foreshore_model::{Phase, clock};
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;
use tracing::{info, warn};

use super::{Failure, Next, Worker};
use crate::desired::Desired;
use crate::steps::Step;
use crate::world::text;

/// An object we made that no watch has shown after this long is looked for.
const UNSEEN_PATIENCE: Duration = Duration::from_secs(10);
/// So many heals of one object in this time mean that somebody fights us.
const FIGHT_HEALS: usize = 3;
const FIGHT_WINDOW: Duration = Duration::from_mins(10);
/// Drift that is only told is looked at again after this, without any event.
const REPORT_AGAIN: Duration = Duration::from_mins(1);
/// Replicas are not set again before the last setting could be seen.
const SCALE_PAUSE: Duration = Duration::from_secs(2);

/// What a closer look at a suspicious object found.
#[derive(Debug, PartialEq)]
enum Finding {
    /// It says what we want; this is how it looks now.
    Fine(Box<Value>),
    Changed,
    Removed,
}

impl Worker {
    /// Puts right what drifted; returns when to look again if something was done or failed.
    pub(super) async fn heal(&mut self, desired: &Desired) -> Option<Next> {
        let now = clock::now();
        let suspects: Vec<Value> = desired
            .objects_at(now)
            .into_iter()
            .filter(|object| {
                Reference::of(object).is_some_and(|reference| self.is_suspect(&reference))
            })
            .collect();
        let mut healed = match self.rebound(desired, now).await {
            Ok(done) => done,
            Err(failure) => return Some(self.heal_failed(desired, failure)),
        };
        for object in suspects {
            let Some(reference) = Reference::of(&object) else {
                continue;
            };
            match self.look_closer(&reference, &object).await {
                Ok(Finding::Fine(live)) => self.accept(&reference, &live),
                Ok(finding) => {
                    if self.is_fight(&reference) {
                        let message =
                            "others change it again and again; it is left as it is for a while";
                        let causes =
                            vec![Failure::cause(&reference.to_string(), "Contested", message)];
                        self.tell(desired, Phase::Degraded, causes);
                        return Some(Next::after(FIGHT_WINDOW / 10));
                    }
                    if self.rules.drift == Drift::Report {
                        let message = "somebody else changed it; the environment asks to leave it";
                        let causes =
                            vec![Failure::cause(&reference.to_string(), "Drifted", message)];
                        self.tell(desired, Phase::Degraded, causes);
                        return Some(Next::after(REPORT_AGAIN));
                    }
                    let what = if finding == Finding::Removed {
                        "removed"
                    } else {
                        "changed"
                    };
                    let message = format!("somebody else {what} it; putting it back");
                    let causes = vec![Failure::cause(&reference.to_string(), "Drifted", message)];
                    self.tell(desired, Phase::Degraded, causes);
                    info!(
                        kind = reference.kind,
                        name = reference.name,
                        what,
                        "drift healed"
                    );
                    self.heals
                        .entry(reference.clone())
                        .or_default()
                        .push(Instant::now());
                    let stage = vec![Step::Namespace(desired.namespace.clone())];
                    let made = match self.execute(stage).await {
                        Ok(()) => self.execute(vec![Step::Apply(object)]).await,
                        Err(failure) => Err(failure),
                    };
                    if let Err(failure) = made {
                        return Some(self.heal_failed(desired, failure));
                    }
                    healed = true;
                }
                Err(failure) => return Some(self.heal_failed(desired, failure)),
            }
        }
        healed |= self.rescale(desired).await;
        if healed {
            if let Err(failure) = self.execute(vec![Step::record(desired)]).await {
                return Some(self.heal_failed(desired, failure));
            }
            return Some(Next::after(Duration::ZERO));
        }
        None
    }

    fn heal_failed(&mut self, desired: &Desired, failure: Failure) -> Next {
        let (first, most) = failure.pauses();
        self.retry.failed(first, most);
        match failure {
            Failure::Preempted => {}
            Failure::Transient(causes) => {
                warn!(
                    cause = causes.first().map(|cause| cause.message.as_str()),
                    "drift not healed; will retry"
                );
            }
            Failure::Permanent(causes) => self.tell(desired, Phase::Degraded, causes),
        }
        self.retry.next()
    }

    /// Whether the object as last seen is not the one we last wrote.
    fn is_suspect(&mut self, reference: &Reference) -> bool {
        let Some(entry) = self
            .inventory
            .as_ref()
            .and_then(|inventory| inventory.entry(reference))
        else {
            return true;
        };
        let written = self.written.get_mut(reference);
        let Some(seen) = self.shared.world.find(reference) else {
            // Gone if it had been seen; otherwise the watch may be a little behind.
            return written
                .is_none_or(|written| written.shown || written.at.elapsed() >= UNSEEN_PATIENCE);
        };
        if let Some(written) = written {
            if is_older(seen.resource_version(), &written.resource_version) {
                return false;
            }
            written.shown = true;
        }
        !text(&seen.object, "/metadata/uid").eq(entry.uid.as_str())
            || seen.fingerprint != entry.fingerprint
    }

    /// Gives autoscalers other bounds where a floor began or ended: that is nobody's drift.
    async fn rebound(&mut self, desired: &Desired, now: Timestamp) -> Result<bool, Failure> {
        let mut done = false;
        for object in desired.objects_at(now) {
            let moved = Reference::of(&object).is_some_and(|reference| {
                !self.is_suspect(&reference)
                    && self.has_other_bounds(desired, &reference, &object, now)
            });
            if moved {
                self.execute(vec![Step::Apply(object)]).await?;
                done = true;
            }
        }
        Ok(done)
    }

    /// Whether an autoscaler has other bounds than it shall have at this moment.
    fn has_other_bounds(
        &self,
        desired: &Desired,
        reference: &Reference,
        object: &Value,
        now: Timestamp,
    ) -> bool {
        let Some(bounds) = desired.bounds_of(object, now) else {
            return false;
        };
        let Some(seen) = self.shared.world.find(reference) else {
            return false;
        };
        let written = self.written.get(reference);
        if written
            .is_some_and(|written| is_older(seen.resource_version(), &written.resource_version))
        {
            return false;
        }
        let count = |field: &str| seen.object["spec"][field].as_u64();
        count("minReplicas") != Some(bounds.min.into())
            || count("maxReplicas") != Some(bounds.max.into())
    }

    async fn look_closer(&self, reference: &Reference, object: &Value) -> Result<Finding, Failure> {
        let cluster = &self.cluster;
        let live = cluster
            .get(reference)
            .await
            .map_err(|error| Failure::of_call(reference, &error))?;
        let Some(live) = live else {
            return Ok(Finding::Removed);
        };
        let checked = cluster.apply(object, ApplyMode::DryRun).await;
        let checked = checked.map_err(|error| Failure::of_call(reference, &error))?;
        if same_content(&live, &checked.object) {
            Ok(Finding::Fine(Box::new(live)))
        } else {
            Ok(Finding::Changed)
        }
    }

    /// Takes the object as it is now for the one that we want.
    fn accept(&mut self, reference: &Reference, live: &Value) {
        let Some(inventory) = &mut self.inventory else {
            return;
        };
        if let Some(entry) = inventory
            .entries
            .iter_mut()
            .find(|entry| entry.reference().is_same(reference))
        {
            text(live, "/metadata/uid").clone_into(&mut entry.uid);
            entry.fingerprint = fingerprint(live);
        }
        if let Some(written) = self.written.get_mut(reference) {
            text(live, "/metadata/resourceVersion").clone_into(&mut written.resource_version);
            written.at = Instant::now();
        }
    }

    fn is_fight(&mut self, reference: &Reference) -> bool {
        let heals = self.heals.entry(reference.clone()).or_default();
        heals.retain(|at| at.elapsed() < FIGHT_WINDOW);
        heals.len() >= FIGHT_HEALS
    }

    /// Sets replicas that are not as wanted at this moment; returns whether it did.
    async fn rescale(&mut self, desired: &Desired) -> bool {
        let mut done = false;
        self.rescale_due = None;
        for (reference, replicas) in desired.scaled(clock::now()) {
            let Some(seen) = self.shared.world.find(&reference) else {
                continue;
            };
            let is_behind = self.written.get(&reference).is_some_and(|written| {
                is_older(seen.resource_version(), &written.resource_version)
            });
            // A write of just now may not be seen yet; without another look nothing would ever be set.
            let settles = self
                .written
                .get(&reference)
                .map(|written| written.at + SCALE_PAUSE)
                .filter(|settles| *settles > Instant::now());
            let current = seen
                .object
                .pointer("/spec/replicas")
                .and_then(Value::as_u64)
                .unwrap_or(1);
            if current == u64::from(replicas) {
                continue;
            }
            if is_behind || settles.is_some() {
                let due = settles.unwrap_or_else(|| Instant::now() + SCALE_PAUSE);
                let known = self.rescale_due.unwrap_or(due);
                self.rescale_due = Some(due.min(known));
                continue;
            }
            let step = Step::Scale {
                reference,
                replicas,
            };
            match self.execute(vec![step]).await {
                Ok(()) => done = true,
                Err(Failure::Preempted) => {}
                Err(Failure::Transient(causes) | Failure::Permanent(causes)) => {
                    warn!(
                        cause = causes.first().map(|cause| cause.message.as_str()),
                        "replicas not set; will retry"
                    );
                }
            }
        }
        done
    }
}

/// Whether a copy was made before our write; versions that are no numbers cannot be ordered.
fn is_older(seen: &str, written: &str) -> bool {
    matches!((seen.parse::<u64>(), written.parse::<u64>()), (Ok(seen), Ok(written)) if seen < written)
}
