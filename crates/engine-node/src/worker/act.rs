//! Carries out what was decided.

use std::sync::Arc;
use std::time::Duration;

use foreshore_model::chain;
use jiff::Timestamp;

use super::ended::{begun, wait_for_end};
use super::{Attended, Live, News, Worker, WorkerEnd, simulate};
use crate::container::RunningContainer;
use crate::options::RuntimeKind;
use crate::pod::decide::Action;
use crate::pod::fields;
use crate::pod::state::{Phase, Preparation, Waiting};
use crate::probing::Target;
use crate::start::{NotCreated, Start};

/// Given to a container whose `preStop` hook used up all of its time.
const AFTER_HOOK: Duration = Duration::from_secs(2);

impl Worker {
    /// Answers whether the pod is to be removed, after which nothing else counts.
    pub(super) fn carry_out(&mut self, action: Action, now: Timestamp) -> bool {
        match action {
            Action::Prepare => self.prepare(),
            Action::Start { container } => self.start(&container, now),
            Action::Stop {
                container,
                deadline,
                why,
            } => self.stop(&container, deadline, &why, now),
            Action::Fail(failure) => {
                let words = failure.message.clone();
                self.context
                    .warn(&self.pod, None, "DeadlineExceeded", words);
                self.state.failure = Some(failure);
            }
            Action::Remove => return true,
        }
        false
    }

    fn prepare(&mut self) {
        if self.context.options.runtime == RuntimeKind::Simulated {
            self.state.preparation = Preparation::Done;
            return;
        }
        self.state.preparation = Preparation::Running;
        if self.context.options.runtime == RuntimeKind::Process
            && crate::pod::support::wants_token(&self.pod)
        {
            let words = "plain processes have no file system of their own to mount the service account's token in; the pod runs without it";
            let reason = "TokenNotMounted";
            self.context.warn(&self.pod, None, reason, words.to_owned());
        }
        let without = self.context.groups.not_enforced(&self.pod);
        if !without.is_empty() {
            let words = format!(
                "this node cannot enforce {}; the pod runs without",
                without.join(" and ")
            );
            self.context
                .warn(&self.pod, None, "LimitsNotEnforced", words);
        }
        let (context, pod) = (Arc::clone(&self.context), Arc::clone(&self.pod));
        let (folder, address) = (self.folder.clone(), self.address.clone());
        let tokens = Arc::clone(&self.tokens);
        self.spawn(async move {
            let done = crate::prepare::prepare(&context, &pod, &folder, &address, &tokens).await;
            Some(News::Prepared(done.map_err(|error| chain(&error))))
        });
    }

    fn start(&mut self, name: &str, now: Timestamp) {
        let state = self.state.container_mut(name);
        let attempt = state.next_attempt();
        if let Phase::Ended(finished) = std::mem::replace(&mut state.phase, Phase::Starting) {
            state.crash.next(finished.ended_at, now);
            state.last = Some(finished);
        }
        state.restarts = attempt;
        state.is_started = false;
        state.is_ready = false;
        state.stopping = None;
        state.unhealthy = None;
        let Some(container) = fields::container(&self.pod, name).cloned() else {
            return;
        };
        if self.context.options.runtime == RuntimeKind::Simulated {
            let news = simulate::start(&self.pod, &container, attempt, now);
            self.spawn(async move { Some(news) });
            return;
        }
        let start = Start {
            context: Arc::clone(&self.context),
            pod: Arc::clone(&self.pod),
            folder: self.folder.clone(),
            container,
            attempt,
            address: self.address.clone(),
            unwanted: self.unwanted.clone(),
        };
        let name = name.to_owned();
        self.spawn(async move {
            let (context, container) = (Arc::clone(&start.context), start.container.clone());
            Some(match start.run().await {
                Ok(created) => {
                    let begun = begun(&context, &container, attempt, created.outcome);
                    News::Begun {
                        container: name,
                        image_id: created.image_id,
                        begun,
                    }
                }
                Err(why) => News::NotCreated {
                    container: name,
                    why,
                },
            })
        });
    }

    /// Looks after a container that runs: waits for its end, probes it.
    pub(super) fn attend(&mut self, name: &str, live: Live) {
        let attempt = self.state.container(name).restarts;
        let Some(container) = fields::container(&self.pod, name).cloned().map(Arc::new) else {
            return;
        };
        let mut tasks = Vec::new();
        match &live {
            Live::Real(running) => {
                let (waits, running_too) = (Arc::clone(running), Arc::clone(running));
                let its = Arc::clone(&container);
                let uid = fields::uid(&self.pod).to_owned();
                let context = Arc::clone(&self.context);
                tasks.push(self.spawn(async move {
                    let finished = wait_for_end(&context, &waits, &its, attempt).await;
                    let group = context.groups.of_start(&uid, &its.name, attempt);
                    if let Err(error) = context.groups.end(&group).await {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(error, "control group of a container stays for now");
                    }
                    Some(News::Ended {
                        container: its.name.clone(),
                        finished,
                    })
                }));
                if let Ok(address) = self.address.parse() {
                    let context = Arc::clone(&self.context);
                    let target = Target {
                        context,
                        container,
                        running: running_too,
                        address,
                    };
                    tasks.extend(self.watch_health(&target, attempt));
                }
            }
            Live::Simulated(end) => {
                tasks.push(self.spawn(simulate::life(
                    Arc::clone(&self.pod),
                    container,
                    attempt,
                    end.clone(),
                )));
                tasks.push(self.spawn(simulate::readiness(
                    Arc::clone(&self.pod),
                    name.to_owned(),
                    attempt,
                )));
            }
        }
        self.attended.insert(
            name.to_owned(),
            Attended {
                live,
                tasks,
                stop: None,
            },
        );
    }

    fn stop(&mut self, name: &str, deadline: Timestamp, why: &str, now: Timestamp) {
        let state = self.state.container_mut(name);
        let first_time = state.stopping.replace(deadline).is_none();
        let Some(attended) = self.attended.get_mut(name) else {
            return;
        };
        if let Some(earlier) = attended.stop.take() {
            earlier.abort();
        }
        let live = attended.live.clone();
        let grace = Duration::try_from(deadline.duration_since(now)).unwrap_or(Duration::ZERO);
        if first_time {
            tracing::debug!(container = name, why, "container is being stopped");
            self.context.normal(
                &self.pod,
                Some(name),
                "Killing",
                format!("Stopping container {name}"),
            );
        }
        let handle = match live {
            Live::Simulated(end) => {
                end.cancel();
                return;
            }
            Live::Real(running) => {
                let hook = self.target(name, &running).filter(|_| first_time);
                self.spawn(stop(running, hook, grace))
            }
        };
        if let Some(attended) = self.attended.get_mut(name) {
            attended.stop = Some(handle);
        }
    }

    pub(super) fn target(&self, name: &str, running: &Arc<RunningContainer>) -> Option<Target> {
        let container = fields::container(&self.pod, name).cloned().map(Arc::new)?;
        let address = self.address.parse().ok()?;
        Some(Target {
            context: Arc::clone(&self.context),
            container,
            running: Arc::clone(running),
            address,
        })
    }

    /// Forgets the pod here, and tells the API that it is gone.
    pub(super) async fn remove(
        mut self,
        shutdown: &tokio_util::sync::CancellationToken,
    ) -> WorkerEnd {
        self.tasks.abort_all();
        if !self.is_gone && !self.remove_from_api(shutdown).await {
            return WorkerEnd::Left;
        }
        self.context.groups.end_pod(fields::uid(&self.pod)).await;
        if let Err(error) = self.folder.remove() {
            tracing::warn!(%error, folder = %self.folder.path().display(), "leftovers of a pod stay until the next start");
        }
        if let Err(error) = self.context.addresses.release(fields::uid(&self.pod)) {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "address of a pod stays taken until the next start");
        }
        WorkerEnd::Removed
    }
}

/// Runs the `preStop` hook, asks the container to end, and insists in the end.
async fn stop(
    running: Arc<RunningContainer>,
    target: Option<Target>,
    grace: Duration,
) -> Option<News> {
    let deadline = tokio::time::Instant::now() + grace;
    let hook = target.as_ref().and_then(|target| {
        let handler = target.container.lifecycle.as_ref()?.pre_stop.clone()?;
        Some((target, handler))
    });
    let mut news = None;
    let mut deadline = deadline;
    if let Some((target, handler)) = hook {
        if let Err(error) = target.hook(&handler, grace).await {
            let container = target.container.name.clone();
            news = Some(News::HookFailed {
                container,
                reason: "FailedPreStopHook",
                message: error.to_string(),
            });
        }
        deadline = deadline.max(tokio::time::Instant::now() + AFTER_HOOK);
    }
    if let Err(error) = running.terminate() {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "container cannot be asked to end"
        );
    }
    if !matches!(
        tokio::time::timeout_at(deadline, running.shim_ended()).await,
        Ok(Ok(()))
    ) && let Err(error) = running.kill()
    {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "container cannot be killed"
        );
    }
    news
}

/// What waiting looks like after a failed try.
pub(super) fn waiting_after(why: &NotCreated, now: Timestamp, retry_at: Timestamp) -> Phase {
    let trouble = crate::pod::state::Trouble {
        reason: why.reason.to_owned(),
        message: why.message.clone(),
        at: now,
        retry_at,
    };
    Phase::Waiting(Waiting {
        trouble: Some(trouble),
    })
}
