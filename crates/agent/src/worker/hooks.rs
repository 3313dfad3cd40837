//! Hooks around a release: started once, followed to their end, told, and cleaned up.

use std::time::Duration;

use foreshore_cluster::{Entry, HookRun, HookState, Reference};
use foreshore_health::{Context, Related, State, assess};
use foreshore_model::outcome::Cause;
use foreshore_model::{Phase, clock};
use jiff::Timestamp;
use serde_json::Value;
use tracing::{info, warn};

use super::{Failure, Next, Worker};
use crate::desired::Desired;
use crate::hooks::{self, Hook, Moment};
use crate::steps::{Stage, Step};
use crate::world::text;

/// How often a hook that runs is looked at without any event.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// A Job that nobody ended so long after its deadline counts as failed.
const DEADLINE_MARGIN: Duration = Duration::from_mins(1);
/// The longest message that is remembered of a failure.
const MESSAGE_MAX: usize = 500;

/// How one hook is.
enum Look {
    Runs,
    Succeeded,
    Failed(Vec<Cause>),
    /// It is not there, and was never seen.
    NeverMade,
}

impl Worker {
    /// Runs the hooks of one moment; goes on only when all of them have succeeded.
    pub(super) async fn hooks(&mut self, desired: &Desired, moment: Moment) -> Result<(), Next> {
        if desired.hooks.is_empty() && self.runs().is_empty() {
            return Ok(());
        }
        if let Some(due) = self.retry.waits() {
            return Err(Next::At(due));
        }
        if moment == Moment::Before
            && let Err(failure) = self.clean_hooks(desired).await
        {
            return Err(self.hook_not_done(desired, failure));
        }
        loop {
            let runs = self.runs();
            let step = match hooks::next(&desired.hooks, moment, &runs) {
                hooks::Next::Done => return Ok(()),
                hooks::Next::Failed(run) => {
                    let cause =
                        Failure::cause(&format!("Job/{}", run.job), "HookFailed", &run.message);
                    if !self.is_told(desired, Phase::Failed) {
                        self.tell(desired, Phase::Failed, vec![cause]);
                    }
                    return Err(Next::OnChange);
                }
                hooks::Next::Wait(run) => self.wait_for_earlier(desired, &run.clone()).await,
                hooks::Next::Start(hook) => self.start_hook(desired, &hook.clone()).await,
                hooks::Next::Follow(hook, run) => {
                    self.follow_hook(desired, &hook.clone(), &run.clone()).await
                }
            };
            match step {
                Ok(true) => {}
                Ok(false) => return Err(Next::after(LOOK_AGAIN)),
                Err(failure) => return Err(self.hook_not_done(desired, failure)),
            }
        }
    }

    fn runs(&self) -> Vec<HookRun> {
        self.inventory
            .as_ref()
            .map(|inventory| inventory.hooks.clone())
            .unwrap_or_default()
    }

    fn hook_not_done(&mut self, desired: &Desired, failure: Failure) -> Next {
        let (first, most) = failure.pauses();
        self.retry.failed(first, most);
        match failure {
            Failure::Preempted => self.retry.reset(),
            Failure::Transient(causes) => {
                warn!(
                    cause = causes.first().map(|cause| cause.message.as_str()),
                    "hook not run; will retry"
                );
            }
            Failure::Permanent(causes) => self.tell(desired, Phase::Failed, causes),
        }
        self.retry.next()
    }

    /// Starts a hook; the whole release is validated before the first one runs.
    async fn start_hook(&mut self, desired: &Desired, hook: &Hook) -> Result<bool, Failure> {
        self.watch_kinds(desired).await?;
        if hook.moment == Moment::Before {
            let stage = vec![Step::Namespace(desired.namespace.clone())];
            self.execute(stage).await?;
            let objects = desired.objects_at(clock::now()).into_iter();
            let jobs = desired.hooks.iter().map(|hook| hook.job.clone());
            self.execute(objects.chain(jobs).map(Step::Validate).collect())
                .await?;
        }
        let run = HookRun {
            key: hook.key.clone(),
            job: hook.reference().name,
            uid: String::new(),
            state: HookState::Started,
            message: String::new(),
        };
        // Remembered before it exists: whoever comes after a crash must not run it twice.
        self.note(|runs| runs.push(run)).await?;
        self.make_job(desired, hook).await
    }

    /// Removes the Jobs of earlier releases that have ended.
    async fn clean_hooks(&mut self, desired: &Desired) -> Result<(), Failure> {
        let runs = self.runs();
        for run in hooks::outdated(&desired.hooks, &runs) {
            self.remove_job(run).await?;
            self.note(|runs| runs.retain(|known| known.key != run.key))
                .await?;
        }
        Ok(())
    }

    /// Returns the steps that remove every Job that is still there.
    pub(super) fn hook_jobs(&self) -> Stage {
        let runs = self.runs();
        let left = runs.iter().filter(|run| !run.job.is_empty());
        left.map(|run| Step::Prune(self.entry(run))).collect()
    }

    fn entry(&self, run: &HookRun) -> Entry {
        let reference = Reference::new("batch/v1", "Job", &self.namespace, &run.job);
        Entry {
            uid: run.uid.clone(),
            ..Entry::new(reference)
        }
    }

    async fn make_job(&mut self, desired: &Desired, hook: &Hook) -> Result<bool, Failure> {
        let reference = hook.reference();
        info!(
            job = reference.name,
            release = desired.release.sequence,
            "hook started"
        );
        self.execute(vec![Step::Apply(hook.job.clone())]).await?;
        let uid = self
            .base
            .get(&reference)
            .await
            .map_err(|error| Failure::of_call(&reference, &error))?
            .map(|live| text(&live, "/metadata/uid").to_owned());
        self.note_run(&hook.key, |run| run.uid = uid.unwrap_or_default())
            .await?;
        self.tell_running(desired, &reference.name);
        Ok(false)
    }

    fn tell_running(&mut self, desired: &Desired, job: &str) {
        let message = format!("hook `{job}` runs");
        let cause = Failure::cause(&format!("Job/{job}"), "HookRunning", message);
        self.tell(desired, Phase::Progressing, vec![cause]);
    }

    async fn follow_hook(
        &mut self,
        desired: &Desired,
        hook: &Hook,
        run: &HookRun,
    ) -> Result<bool, Failure> {
        self.watch_kinds(desired).await?;
        match self.look_at(run).await? {
            Look::NeverMade => return self.make_job(desired, hook).await,
            Look::Runs => {
                self.tell_running(desired, &run.job);
                return Ok(false);
            }
            Look::Succeeded => {
                info!(
                    job = run.job,
                    release = desired.release.sequence,
                    "hook succeeded"
                );
                self.note_run(&run.key, |run| run.state = HookState::Succeeded)
                    .await?;
                if !hook.stays {
                    self.remove_job(run).await?;
                    self.note_run(&run.key, |run| run.job.clear()).await?;
                }
            }
            Look::Failed(mut causes) => {
                self.add_logs(&mut causes).await;
                let message = causes.first().map_or_else(String::new, |cause| {
                    format!("{}: {}", cause.reason, cause.message)
                });
                let message: String = message.chars().take(MESSAGE_MAX).collect();
                warn!(
                    job = run.job,
                    release = desired.release.sequence,
                    cause = message,
                    "hook failed"
                );
                self.note_run(&run.key, |run| {
                    run.state = HookState::Failed;
                    run.message = message;
                })
                .await?;
                let what = match hook.moment {
                    Moment::Before => "it runs before the release, of which nothing is written",
                    Moment::After => "it runs after the release, which is written and stays",
                };
                let first = Failure::cause(&format!("Job/{}", run.job), "HookFailed", what);
                causes.insert(0, first);
                causes.truncate(foreshore_health::CAUSES_MAX);
                self.tell(desired, Phase::Failed, causes);
            }
        }
        Ok(true)
    }

    /// Waits for the end of a hook that an earlier release started.
    async fn wait_for_earlier(
        &mut self,
        desired: &Desired,
        run: &HookRun,
    ) -> Result<bool, Failure> {
        self.watch_kinds(desired).await?;
        let state = match self.look_at(run).await? {
            Look::Runs => {
                let message = format!("waits for hook `{}` of an earlier release to end", run.job);
                let cause = Failure::cause(&format!("Job/{}", run.job), "HookRunning", message);
                self.tell(desired, Phase::Progressing, vec![cause]);
                return Ok(false);
            }
            Look::Succeeded => HookState::Succeeded,
            Look::Failed(_) | Look::NeverMade => HookState::Failed,
        };
        self.note_run(&run.key, |run| run.state = state).await?;
        Ok(true)
    }

    async fn look_at(&self, run: &HookRun) -> Result<Look, Failure> {
        let reference = Reference::new("batch/v1", "Job", &self.namespace, &run.job);
        let Some(seen) = self.shared.world.find(&reference) else {
            // The watch may be behind; the server knows.
            let live = self.base.get(&reference).await;
            let live = live.map_err(|error| Failure::of_call(&reference, &error))?;
            return Ok(match (live, run.uid.is_empty()) {
                (Some(_), _) => Look::Runs,
                (None, true) => Look::NeverMade,
                (None, false) => Look::Failed(vec![Failure::cause(
                    &reference.to_string(),
                    "HookGone",
                    "somebody removed it before its end was seen; it is not run again",
                )]),
            });
        };
        let health = self.health_of(&reference);
        Ok(match health.state {
            State::Current => Look::Succeeded,
            State::Failed => Look::Failed(self.with_pods(seen.uid(), health.causes)),
            _ if is_overdue(&seen.object, clock::now()) => Look::Failed(vec![Failure::cause(
                &reference.to_string(),
                "DeadlineExceeded",
                "its deadline passed and nobody ended it",
            )]),
            _ => Look::Runs,
        })
    }

    /// Adds what the pods of a Job ended with.
    fn with_pods(&self, uid: &str, mut causes: Vec<Cause>) -> Vec<Cause> {
        let context = Context {
            now: clock::now(),
            since: self.since,
            applied: None,
            options: &self.shared.health,
        };
        for object in self.shared.world.descendants(uid) {
            if object["kind"] != "Pod" {
                continue;
            }
            let name = format!("Pod/{}", text(&object, "/metadata/name"));
            let health = assess(&name, Some(&object), Related::default(), &context);
            if health.state == State::Failed {
                causes.extend(health.causes);
            }
        }
        causes
    }

    async fn remove_job(&mut self, run: &HookRun) -> Result<(), Failure> {
        if run.job.is_empty() {
            return Ok(());
        }
        self.execute(vec![Step::Prune(self.entry(run))]).await
    }

    async fn note_run(
        &mut self,
        key: &str,
        change: impl FnOnce(&mut HookRun),
    ) -> Result<(), Failure> {
        self.note(|runs| {
            if let Some(run) = runs.iter_mut().find(|run| run.key == key) {
                change(run);
            }
        })
        .await
    }

    /// Remembers what became of hooks, in the cluster.
    async fn note(&mut self, change: impl FnOnce(&mut Vec<HookRun>)) -> Result<(), Failure> {
        let mut runs = self.runs();
        change(&mut runs);
        self.execute(vec![Step::Hooks(runs)]).await
    }
}

fn is_overdue(job: &Value, now: Timestamp) -> bool {
    let made = text(job, "/metadata/creationTimestamp").parse::<Timestamp>();
    let limit = job["spec"]["activeDeadlineSeconds"].as_u64();
    let (Ok(made), Some(limit)) = (made, limit) else {
        return false;
    };
    let age = Duration::try_from(now.duration_since(made)).unwrap_or(Duration::ZERO);
    age > Duration::from_secs(limit) + DEADLINE_MARGIN
}
