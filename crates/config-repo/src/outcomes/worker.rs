//! The thread that records outcomes, at most one commit a second.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use foreshore_git::{GitError, NewCommit, ObjectId, Repository};
use foreshore_model::config::OUTCOMES_REF;
use foreshore_model::{Actor, Environment, Outcome, ReleaseFile, yaml};
use tokio::sync::watch;

use super::state::{Release, State, place_of};
use super::{Reply, ReportError};
use crate::error::ReadError;
use crate::layout::{environment_file, release_file};

/// Reports of this time become one commit.
const BATCH: Duration = Duration::from_secs(1);

/// With so many reports waiting, those that still arrive go into the next commit.
const REPORTS_MAX: usize = 256;

/// How often a commit is tried anew when another process was faster.
const ATTEMPTS_MAX: u32 = 10;

pub(super) struct Worker {
    repository: Repository,
    state: Arc<Mutex<State>>,
    version: watch::Sender<u64>,
}

impl Worker {
    pub(super) fn new(
        repository: Repository,
        state: Arc<Mutex<State>>,
        version: watch::Sender<u64>,
    ) -> Self {
        Self {
            repository,
            state,
            version,
        }
    }

    pub(super) fn run(self, receiver: &Receiver<(Outcome, Reply)>) {
        let mut due = Instant::now();
        let mut waiting: Vec<Reply> = Vec::new();
        loop {
            let full = waiting.len() >= REPORTS_MAX;
            let next = if full && Instant::now() >= due {
                Err(RecvTimeoutError::Timeout)
            } else if waiting.is_empty() {
                receiver.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                receiver.recv_timeout(due.saturating_duration_since(Instant::now()))
            };
            let ended = match next {
                Ok((outcome, reply)) => {
                    waiting.extend(self.take(outcome, reply));
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            let written = self.write().map_err(|error| {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "outcomes cannot be recorded; will retry"
                );
                ReportError::Git(Arc::new(error))
            });
            due = Instant::now() + BATCH;
            for reply in waiting.drain(..) {
                // Whoever reported may have stopped waiting.
                let _gone = reply.send(written.clone());
            }
            if ended {
                return;
            }
            if let Err(error) = self.repository.tidy() {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "packs of the config repository stay as they are"
                );
            }
        }
    }

    /// Takes a report into memory; returns who is to be told when it is durable.
    fn take(&self, outcome: Outcome, reply: Reply) -> Option<Reply> {
        let release = match self.release_of(&outcome) {
            Ok(release) => release,
            Err(error) => {
                let _gone = reply.send(Err(error));
                return None;
            }
        };
        if self.state().take(outcome, release.as_ref()) {
            self.version.send_modify(|version| *version += 1);
        }
        // Also when it says nothing new: the first report of it may not be durable yet.
        Some(reply)
    }

    /// Looks up what the outcome claims to be about; none if the service had no release there.
    fn release_of(&self, outcome: &Outcome) -> Result<Option<Release>, ReportError> {
        let refused = |why: String| ReportError::Refused {
            environment: outcome.environment.clone(),
            service: outcome.service.clone(),
            why,
        };
        let commit: ObjectId = outcome
            .commit
            .parse()
            .map_err(|_| refused(format!("`{}` is no commit", outcome.commit)))?;
        let (release, environment) =
            self.files_at(outcome, &commit)
                .map_err(|error| match error {
                    ReadError::Git(GitError::MissingObject { .. }) => {
                        refused(format!("the config repository has no commit `{commit}`"))
                    }
                    ReadError::Git(error) => ReportError::Git(Arc::new(error)),
                    error => refused(error.to_string()),
                })?;
        let Some(release) = release else {
            return Ok(None);
        };
        if release.sequence != outcome.sequence || release.artifact != outcome.artifact {
            return Err(refused(format!(
                "release {} of that commit has artifact `{}`",
                release.sequence, release.artifact
            )));
        }
        let sites = environment.map_or_else(
            || vec![outcome.site.clone()],
            |environment| environment.sites,
        );
        Ok(Some(Release {
            artifact_id: release.artifact_id,
            sites,
        }))
    }

    fn files_at(
        &self,
        outcome: &Outcome,
        commit: &ObjectId,
    ) -> Result<(Option<ReleaseFile>, Option<Environment>), ReadError> {
        let read = |path: &str| -> Result<Option<String>, ReadError> {
            let bytes = self.repository.read_path(commit, path)?;
            bytes
                .map(|bytes| {
                    String::from_utf8(bytes).map_err(|_| ReadError::NotText {
                        path: path.to_owned(),
                    })
                })
                .transpose()
        };
        let path = release_file(&place_of(outcome));
        let release = read(&path)?
            .map(|text| yaml::read(&path, &text))
            .transpose()?;
        let path = environment_file(&outcome.environment);
        let environment = read(&path)?
            .map(|text| yaml::read(&path, &text))
            .transpose()?;
        Ok((release, environment))
    }

    fn write(&self) -> Result<(), GitError> {
        for _ in 0..ATTEMPTS_MAX {
            let (tip, changes) = {
                let state = self.state();
                (state.tip.clone(), state.changes())
            };
            if changes.is_empty() {
                return Ok(());
            }
            let actor = Actor::automation();
            let message = format!("record {} outcome files\n", changes.len());
            let at = foreshore_model::clock::now();
            let commit = NewCommit {
                changes,
                message,
                author: actor.clone(),
                committer: actor,
                at,
            };
            match self
                .repository
                .commit(OUTCOMES_REF, tip.as_ref(), vec![commit])
            {
                Ok(ids) => {
                    let tip = ids
                        .into_iter()
                        .next_back()
                        .expect("one commit was asked for");
                    self.state().written(tip);
                    return Ok(());
                }
                Err(GitError::Moved { .. }) => self.reread()?,
                Err(error) => return Err(error),
            }
        }
        let path = self.repository.path().to_owned();
        Err(GitError::Busy { path })
    }

    /// Takes over what another process recorded.
    fn reread(&self) -> Result<(), GitError> {
        match State::read(&self.repository) {
            Ok(newer) => {
                self.state().merge(newer);
                self.version.send_modify(|version| *version += 1);
                Ok(())
            }
            Err(ReadError::Git(error)) => Err(error),
            Err(error) => Err(GitError::Malformed {
                command: "outcomes".to_owned(),
                what: error.to_string(),
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
