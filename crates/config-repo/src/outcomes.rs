//! What became of releases, on a side ref: agents never write to the main branch.
//!
//! | Path on `refs/foreshore/outcomes` | Content |
//! |---|---|
//! | `outcomes/<environment>/<site>/<service>.json` | the newest outcome there |
//! | `verified/<environment>/<service>.json` | artifacts that were healthy, oldest first |
//! | `verdicts/<environment>/<service>.json` | what checks found, oldest first |
//!
//! Reports of one second become one commit.

mod state;
mod worker;

use std::collections::BTreeMap;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};

use foreshore_git::{GitError, Repository};
use foreshore_model::{EnvironmentName, Outcome, ServiceName, Verdict};
use foreshore_release::{Place, Verified};
use tokio::sync::{oneshot, watch};

use crate::error::{WriteError, WriteFailure};
use state::State;

/// Reports that may wait: a thousand services that all change within one second.
const QUEUE_MAX: usize = 4096;

/// Why a report was not recorded.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReportError {
    #[error("too many outcomes wait to be recorded; try again")]
    Busy,
    #[error("the recorder of outcomes has stopped")]
    Stopped,
    /// The report does not fit the config repository; sending it again does not help.
    #[error("outcome of `{service}` in `{environment}` is refused: {why}")]
    Refused {
        environment: EnvironmentName,
        service: ServiceName,
        why: String,
    },
    #[error("cannot record outcomes")]
    Git(#[source] Arc<GitError>),
}

type Reply = oneshot::Sender<Result<(), ReportError>>;

/// Handle of the recorder's thread, which ends with the last handle.
#[derive(Debug, Clone)]
pub struct Outcomes {
    sender: SyncSender<(Outcome, Reply)>,
    state: Arc<Mutex<State>>,
    version: watch::Receiver<u64>,
}

impl Outcomes {
    /// Reads what is recorded and starts the recorder.
    pub async fn start(repository: Repository) -> Result<Self, WriteError> {
        let (sender, receiver) = sync_channel(QUEUE_MAX);
        let (notify, version) = watch::channel(0);
        let started = tokio::task::spawn_blocking(move || -> Result<_, WriteFailure> {
            let state = Arc::new(Mutex::new(State::read(&repository)?));
            let worker = worker::Worker::new(repository, state.clone(), notify);
            let thread = std::thread::Builder::new().name("outcomes".to_owned());
            let spawned = thread.spawn(move || worker.run(&receiver));
            spawned.map_err(|cause| GitError::Start {
                command: "outcomes thread".to_owned(),
                cause,
            })?;
            Ok(state)
        });
        let started = started.await.map_err(|_| WriteError::Stopped)?;
        let state = started.map_err(|failure| WriteError::Failed(Arc::new(failure)))?;
        Ok(Self {
            sender,
            state,
            version,
        })
    }

    /// Records an outcome; it is visible at once, and durable when this returns.
    ///
    /// An outcome of an older release than the one recorded is taken and dropped.
    pub async fn report(&self, outcome: Outcome) -> Result<(), ReportError> {
        self.report_all(vec![outcome]).await
    }

    /// Records many outcomes in one go; returns the first error when all have been tried.
    pub async fn report_all(&self, outcomes: Vec<Outcome>) -> Result<(), ReportError> {
        let mut replies = Vec::with_capacity(outcomes.len());
        let mut result = Ok(());
        for outcome in outcomes {
            let (reply, receiver) = oneshot::channel();
            match self.sender.try_send((outcome, reply)) {
                Ok(()) => replies.push(receiver),
                Err(TrySendError::Full(_)) => result = result.and(Err(ReportError::Busy)),
                Err(TrySendError::Disconnected(_)) => {
                    result = result.and(Err(ReportError::Stopped));
                }
            }
        }
        for reply in replies {
            result = result.and(reply.await.unwrap_or(Err(ReportError::Stopped)));
        }
        result
    }

    /// Returns the newest outcome of each site.
    pub fn newest(&self, environment: &EnvironmentName, service: &ServiceName) -> Vec<Outcome> {
        self.state().newest(&(environment.clone(), service.clone()))
    }

    /// Returns the newest outcome of everything.
    pub fn all(&self) -> Vec<Outcome> {
        self.state().all()
    }

    /// Returns the artifacts that were healthy on every site, oldest first.
    pub fn verified(&self, environment: &EnvironmentName, service: &ServiceName) -> Vec<Verified> {
        self.state()
            .verified
            .get(&(environment.clone(), service.clone()))
            .cloned()
            .unwrap_or_default()
    }

    pub fn all_verified(&self) -> BTreeMap<Place, Vec<Verified>> {
        self.state().verified.clone()
    }

    pub fn all_verdicts(&self) -> BTreeMap<Place, Vec<Verdict>> {
        self.state().verdicts.clone()
    }

    /// Grows with every change of what is recorded.
    pub fn version(&self) -> u64 {
        *self.version.borrow()
    }

    /// Tells of every change.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.version.clone()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
