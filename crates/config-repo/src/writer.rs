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

use foreshore_git::{ObjectId, Remote, Repository};
use foreshore_model::ReleaseFile;
use foreshore_model::config::Request;
use foreshore_release::{Decision, Refusal, World};
use jiff::Timestamp;
use tokio::sync::{oneshot, watch};

use crate::error::{WriteError, WriteFailure};
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
        Self { key: key.into(), decide: Box::new(decide) }
    }
}

/// What became of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Durable; `release` if the commit made one.
    Committed { commit: ObjectId, subject: String, release: Option<ReleaseFile> },
    Unchanged(Box<ReleaseFile>),
    /// The request is durable, or stood already; so many approvals are missing.
    Requested { request: Box<Request>, needed: u32 },
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
        Self { remote: None, outcomes: None, clock: foreshore_model::clock::now }
    }
}

enum Message {
    Job(Job, oneshot::Sender<Result<Answer, WriteError>>),
    /// Look whether others moved the branch.
    Refresh(Option<oneshot::Sender<Result<(), WriteError>>>),
}

/// Handle of the writer's thread, which ends with the last handle.
#[derive(Clone)]
pub struct Writer {
    sender: SyncSender<Message>,
    tip: watch::Receiver<Tip>,
}

impl Writer {
    /// Starts the writer of a repository that has its first commit (see [`crate::bootstrap`]); blocks for the first reading.
    pub fn start(repository: Repository, options: Options) -> Result<Self, WriteFailure> {
        let (sender, receiver) = sync_channel(QUEUE_MAX);
        let (worker, tip) = worker::Worker::new(repository, options)?;
        let thread = std::thread::Builder::new().name("config-writer".to_owned());
        let spawned = thread.spawn(move || worker.run(&receiver));
        spawned.map_err(|cause| foreshore_git::GitError::Start { command: "writer thread".to_owned(), cause })?;
        Ok(Self { sender, tip })
    }

    /// Decides and writes; returns when the answer is durable.
    pub async fn submit(&self, job: Job) -> Result<Answer, WriteError> {
        let (sender, receiver) = oneshot::channel();
        self.send(Message::Job(job, sender))?;
        receiver.await.unwrap_or(Err(WriteError::Stopped))
    }

    /// Returns the repository as last seen, from memory.
    pub fn tip(&self) -> Tip {
        self.tip.borrow().clone()
    }

    /// Tells of every new tip.
    pub fn watch(&self) -> watch::Receiver<Tip> {
        self.tip.clone()
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
        Ok(self.tip())
    }

    fn send(&self, message: Message) -> Result<(), WriteError> {
        self.sender.try_send(message).map_err(|error| match error {
            TrySendError::Full(_) => WriteError::Busy,
            TrySendError::Disconnected(_) => WriteError::Stopped,
        })
    }
}
