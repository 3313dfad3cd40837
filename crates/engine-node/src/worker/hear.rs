//! Takes news into what is known of the pod.

use std::sync::Arc;

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::act::waiting_after;
use super::{Begun, News, Told, Worker};
use crate::pod::backoff::later;
use crate::pod::fields;
use crate::pod::probe::ProbeKind;
use crate::pod::state::{Finished, Phase, Preparation};
use crate::start::NotCreated;

/// How soon to try again what failed for reasons that people must mend.
const CONFIG_AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(10);
/// What a pod that vanished gets to end; nobody waits for it any more.
const GRACE_WHEN_GONE_SECONDS: i64 = 1;

impl Worker {
    pub(super) fn hear_api(&mut self, told: Told) {
        match told {
            Told::Pod(pod) => self.take(pod),
            Told::Gone => {
                self.is_gone = true;
                // Whoever deletes by force has the node do what is left.
                let mut pod = (*self.pod).clone();
                pod.metadata
                    .deletion_timestamp
                    .get_or_insert_with(|| Time(self.context.now()));
                pod.metadata.deletion_grace_period_seconds = Some(GRACE_WHEN_GONE_SECONDS);
                self.pod = Arc::new(pod);
            }
        }
    }

    fn take(&mut self, pod: Arc<k8s_openapi::api::core::v1::Pod>) {
        let (old, new) = (&self.pod.metadata, &pod.metadata);
        if old.labels != new.labels || old.annotations != new.annotations {
            self.refreshing.at_once(self.context.now());
        }
        let before = fields::ephemeral_names(&self.pod);
        for name in fields::ephemeral_names(&pod) {
            if !before.contains(&name) {
                let words = format!(
                    "this node does not run `spec.ephemeralContainers[{name}]`; use `kubectl exec`"
                );
                self.context
                    .warn(&pod, Some(name), "EphemeralContainerRefused", words);
            }
        }
        self.pod = pod;
    }

    pub(super) fn hear(&mut self, news: News) {
        let now = self.context.now();
        match news {
            News::Prepared(Ok(())) => self.state.preparation = Preparation::Done,
            News::Prepared(Err(message)) => {
                self.state.preparation = Preparation::Failed { at: now };
                self.context.warn(&self.pod, None, "FailedMount", message);
            }
            News::Begun {
                container,
                image_id,
                begun,
            } => self.hear_begun(&container, image_id, begun),
            News::NotCreated { container, why } => self.hear_not_created(&container, &why),
            News::Ended {
                container,
                finished,
            } => self.hear_ended(&container, finished),
            News::Verdict {
                container,
                attempt,
                kind,
                success,
            } => {
                self.hear_verdict(&container, attempt, kind, success);
            }
            News::ProbeFailed {
                container,
                kind,
                message,
            } => {
                let words = format!("{} probe failed: {message}", kind.name());
                self.context
                    .warn(&self.pod, Some(&container), "Unhealthy", words);
            }
            News::HookFailed {
                container,
                reason,
                message,
            } => {
                self.context
                    .warn(&self.pod, Some(&container), reason, message.clone());
                if reason == "FailedPostStartHook" {
                    self.state.container_mut(&container).unhealthy = Some(message);
                }
            }
            News::Refreshed(outcome) => self.hear_refreshed(outcome),
            News::Published(outcome) => self.hear_published(outcome, now),
        }
    }

    fn hear_begun(&mut self, name: &str, image_id: String, begun: Begun) {
        let container = fields::container(&self.pod, name)
            .cloned()
            .unwrap_or_default();
        let state = self.state.container_mut(name);
        state.image_id = Some(image_id);
        state.pull = crate::pod::backoff::Backoff::default();
        match begun {
            Begun::Running { live, since } => {
                state.phase = Phase::Running { since };
                state.is_started = container.startup_probe.is_none();
                state.is_ready = container.readiness_probe.is_none() && !live.is_simulated();
                self.attend(name, live);
                self.post_start(name);
            }
            Begun::Ended(finished) => self.hear_ended(name, finished),
        }
    }

    fn hear_not_created(&mut self, name: &str, why: &NotCreated) {
        let now = self.context.now();
        let image = fields::container(&self.pod, name)
            .and_then(|container| container.image.clone())
            .unwrap_or_default();
        let state = self.state.container_mut(name);
        let retry_at = if why.is_pull {
            state.pull.next(now, now);
            state.pull.due(now)
        } else {
            later(now, CONFIG_AGAIN_AFTER)
        };
        state.phase = waiting_after(why, now, retry_at);
        if self.unwanted.is_cancelled() {
            return;
        }
        let tell = |reason, words| self.context.warn(&self.pod, Some(name), reason, words);
        if why.is_pull {
            tell(
                "Failed",
                format!("Failed to pull image \"{image}\": {}", why.message),
            );
            tell("Failed", format!("Error: {}", why.reason));
            self.context.normal(
                &self.pod,
                Some(name),
                "BackOff",
                format!("Back-off pulling image \"{image}\""),
            );
        } else {
            tell("Failed", format!("Error: {}", why.message));
        }
    }

    fn hear_ended(&mut self, name: &str, finished: Finished) {
        if let Some(attended) = self.attended.remove(name) {
            attended
                .tasks
                .iter()
                .chain(&attended.stop)
                .for_each(tokio::task::AbortHandle::abort);
        }
        if finished.reason == "StartError" {
            let words = format!("Error: {}", finished.message.as_deref().unwrap_or_default());
            self.context.warn(&self.pod, Some(name), "Failed", words);
        }
        let state = self.state.container_mut(name);
        state.is_ready = false;
        state.is_started = false;
        state.stopping = None;
        state.unhealthy = None;
        let again = state.crash.due(finished.ended_at);
        if finished.ended_at < again {
            let words = format!(
                "Back-off restarting failed container {name} in pod {}",
                self.full_name()
            );
            self.context.warn(&self.pod, Some(name), "BackOff", words);
        }
        self.state.container_mut(name).phase = Phase::Ended(finished);
    }

    fn full_name(&self) -> String {
        format!(
            "{}_{}({})",
            fields::name(&self.pod),
            fields::namespace(&self.pod),
            fields::uid(&self.pod)
        )
    }

    fn hear_verdict(&mut self, name: &str, attempt: u32, kind: ProbeKind, success: bool) {
        let state = self.state.container_mut(name);
        if state.restarts != attempt || !state.is_running() {
            return;
        }
        match kind {
            ProbeKind::Readiness => state.is_ready = success,
            ProbeKind::Startup if success => state.is_started = true,
            ProbeKind::Liveness if success => {}
            ProbeKind::Startup | ProbeKind::Liveness => {
                if state.unhealthy.is_none() && state.stopping.is_none() {
                    let which = kind.name().to_lowercase();
                    let words = format!("Container {name} failed {which} probe, will be restarted");
                    state.unhealthy = Some(words.clone());
                    self.context.normal(&self.pod, Some(name), "Killing", words);
                }
            }
        }
    }

    /// Runs the `postStart` hook, if there is one.
    fn post_start(&mut self, name: &str) {
        let Some(super::Live::Real(running)) = self
            .attended
            .get(name)
            .map(|attended| attended.live.clone())
        else {
            return;
        };
        let Some(target) = self.target(name, &running) else {
            return;
        };
        let Some(handler) = target
            .container
            .lifecycle
            .as_ref()
            .and_then(|lifecycle| lifecycle.post_start.clone())
        else {
            return;
        };
        self.spawn(async move {
            // As long as a whole pod may take to end; kubelet sets no limit here.
            let limit = std::time::Duration::from_mins(1);
            let error = target.hook(&handler, limit).await.err()?;
            let container = target.container.name.clone();
            Some(News::HookFailed {
                container,
                reason: "FailedPostStartHook",
                message: error.to_string(),
            })
        });
    }
}

impl super::Live {
    pub(super) fn is_simulated(&self) -> bool {
        matches!(self, Self::Simulated(_))
    }
}
