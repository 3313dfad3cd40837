//! The one door for changes of the config repository.
//!
//! A [`Writer`] is a handle to one thread. It takes the jobs that wait, lets each
//! decide on the world as the ones before it leave it, writes one commit for each
//! that changes something, and moves the branch once for all of them. When
//! another process moved the branch first, every job decides again. A job is
//! answered when its commit is on the disk, or accepted by the remote.

mod draft;
mod keys;
mod worker;

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use foreshore_git::{GitError, ObjectId, Remote, Repository};
use foreshore_model::api::HistoryEntry;
use foreshore_model::config::{Hold, Request};
use foreshore_model::{EnvironmentName, ReleaseFile, ServiceName};
use foreshore_release::{Decision, Refusal, World};
use jiff::Timestamp;
use tokio::sync::{oneshot, watch};

use crate::error::{WriteError, WriteFailure};
use crate::history::releases;
use crate::outcomes::Outcomes;
use crate::snapshot::Snapshot;

/// Jobs that may wait; at 64 a batch this is some seconds of work.
const QUEUE_MAX: usize = 1024;

/// Decides on the world as it is; called again when another process was faster.
pub type Decide = Box<dyn FnMut(&World, Timestamp) -> Result<Decision, Refusal> + Send>;

/// A change to be decided and written.
pub struct Job {
    /// The same key is carried out once: a repetition gets the answer of the first.
    ///
    /// Known are the keys of the last 10,000 commits of the main branch.
    pub key: String,
    pub decide: Decide,
}

impl Job {
    pub fn new(
        key: impl Into<String>,
        decide: impl FnMut(&World, Timestamp) -> Result<Decision, Refusal> + Send + 'static,
    ) -> Self {
        Self {
            key: key.into(),
            decide: Box::new(decide),
        }
    }
}

/// What became of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Durable, with the release and the hold that the commit made or lifted.
    Committed {
        commit: String,
        subject: String,
        release: Option<ReleaseFile>,
        hold: Option<Hold>,
    },
    Unchanged(ReleaseFile),
    /// The request is durable, or stood already; so many approvals are missing.
    Requested {
        request: Request,
        needed: u32,
    },
    NotHeld,
    Refused(Refusal),
}

/// The config repository as the writer last saw it.
#[derive(Debug, Clone)]
pub struct Tip {
    pub commit: ObjectId,
    pub world: Arc<World>,
    pub snapshot: Snapshot,
    /// What cannot be read: path and reason.
    pub problems: Arc<std::collections::BTreeMap<String, String>>,
}

/// How a writer works.
pub struct Options {
    /// The repository that counts, if it is not the one on this disk.
    pub remote: Option<Remote>,
    /// Knows which artifacts were healthy where.
    pub outcomes: Option<Outcomes>,
    pub clock: fn() -> Timestamp,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            remote: None,
            outcomes: None,
            clock: foreshore_model::clock::now,
        }
    }
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
enum Message {
    Job(Job, oneshot::Sender<Result<Answer, WriteError>>),
    /// Look whether others moved the branch.
    Refresh(Option<oneshot::Sender<Result<(), WriteError>>>),
}

/// Handle of the writer's thread, which ends with the last handle.
#[derive(Debug, Clone)]
pub struct Writer {
    repository: Repository,
    sender: SyncSender<Message>,
    tip: watch::Receiver<Tip>,
    commit: watch::Receiver<String>,
}

impl Writer {
    /// Starts the writer of a repository on this disk that has its first commit (see [`crate::bootstrap()`]).
    pub async fn start(repository: Repository, outcomes: &Outcomes) -> Result<Self, WriteError> {
        let options = Options {
            outcomes: Some(outcomes.clone()),
            ..Options::default()
        };
        Self::start_with(repository, options).await
    }

    /// Starts a writer; with a remote, the repository here is only a copy.
    pub async fn start_with(repository: Repository, options: Options) -> Result<Self, WriteError> {
        let (sender, receiver) = sync_channel(QUEUE_MAX);
        let started = tokio::task::spawn_blocking(move || -> Result<_, WriteFailure> {
            let (worker, watches) = worker::Worker::new(repository.clone(), options)?;
            let thread = std::thread::Builder::new().name("config-writer".to_owned());
            let spawned = thread.spawn(move || worker.run(&receiver));
            spawned.map_err(|cause| GitError::Start {
                command: "writer thread".to_owned(),
                cause,
            })?;
            Ok((repository, watches))
        });
        let started = started.await.map_err(|_| WriteError::Stopped)?;
        let (repository, (tip, commit)) =
            started.map_err(|failure| WriteError::Failed(Arc::new(failure)))?;
        Ok(Self {
            repository,
            sender,
            tip,
            commit,
        })
    }

    /// Decides and writes; returns when the answer is durable.
    pub async fn submit(&self, job: Job) -> Result<Answer, WriteError> {
        let (sender, receiver) = oneshot::channel();
        self.send(Message::Job(job, sender))?;
        receiver.await.unwrap_or(Err(WriteError::Stopped))
    }

    /// Returns the repository as last seen, from memory.
    pub fn current(&self) -> Tip {
        self.tip.borrow().clone()
    }

    /// Returns the world as last seen, from memory.
    pub fn world(&self) -> Arc<World> {
        self.tip.borrow().world.clone()
    }

    /// Returns the commit last seen, from memory.
    pub fn tip(&self) -> String {
        self.commit.borrow().clone()
    }

    /// Tells of every new commit.
    pub fn subscribe(&self) -> watch::Receiver<String> {
        self.commit.clone()
    }

    /// Returns the latest releases of a service, newest first.
    pub async fn history(
        &self,
        environment: &EnvironmentName,
        service: &ServiceName,
        count: usize,
    ) -> Result<Vec<HistoryEntry>, GitError> {
        let (repository, environment, service) = (
            self.repository.clone(),
            environment.clone(),
            service.clone(),
        );
        let read = tokio::task::spawn_blocking(move || {
            releases(&repository, &environment, &service, count)
        });
        read.await.unwrap_or_else(|cause| {
            Err(GitError::Start {
                command: "history".to_owned(),
                cause: std::io::Error::other(cause),
            })
        })
    }

    /// Has the writer look whether others moved the branch, as after a push.
    pub fn refresh(&self) {
        // A full queue has jobs in it, and each of them looks.
        let _full = self.send(Message::Refresh(None));
    }

    /// Has the writer look, and returns when it has.
    pub async fn refreshed(&self) -> Result<Tip, WriteError> {
        let (sender, receiver) = oneshot::channel();
        self.send(Message::Refresh(Some(sender)))?;
        receiver.await.unwrap_or(Err(WriteError::Stopped))?;
        Ok(self.current())
    }

    fn send(&self, message: Message) -> Result<(), WriteError> {
        self.sender.try_send(message).map_err(|error| match error {
            TrySendError::Full(_) => WriteError::Busy,
            TrySendError::Disconnected(_) => WriteError::Stopped,
        })
    }
}
