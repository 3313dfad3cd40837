//! The door to the store: open, read, write, watch.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::committer::{self, CommitError, Op, Request};
use crate::disk::Disk;
use crate::history::History;
use crate::hub::{Hub, HubLimits, Scope, WatchError};
use crate::layer::{Layer, Source};
use crate::object::{Key, Object, Resource};
use crate::open_error::OpenError;
use crate::snapshot::Snapshot;
use crate::watcher::Watcher;

/// Where the objects are kept.
#[derive(Clone, Debug)]
pub enum Backend {
    /// Gone with the process.
    Memory,
    /// One file, created when missing.
    Disk(PathBuf),
    /// A file of the caller's making; the path only names it in messages. For tests.
    Layered(PathBuf, Layer),
}

/// When a write counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When it is on disk.
    Strict,
    /// When it is in memory; the disk follows. For tests: a crash may lose the last
    /// writes, but revisions still never go back.
    Relaxed { sync_every: Duration },
}

/// Bounds of what is kept in memory beside the objects themselves.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Events kept per resource for watches that start in the past.
    pub history_events: usize,
    /// Bytes of object contents kept per resource in those events.
    pub history_bytes: usize,
    /// Events a watcher may be behind before it is closed.
    pub watcher_queue: usize,
    /// How long a snapshot named by a continue token is kept.
    pub snapshot_age: Duration,
    /// How many such snapshots are kept at most.
    pub snapshots: usize,
    /// Memory for the file's pages.
    pub cache_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            history_events: 8192,
            history_bytes: 32 << 20,
            watcher_queue: 4096,
            snapshot_age: Duration::from_mins(5),
            snapshots: 256,
            cache_bytes: 8 << 20,
        }
    }
}

/// How to open a store.
#[derive(Clone, Debug)]
pub struct Options {
    pub backend: Backend,
    pub durability: Durability,
    pub limits: Limits,
}

impl Options {
    /// Nothing on disk; for tests and throw-away grounds.
    pub fn memory() -> Self {
        Self {
            backend: Backend::Memory,
            durability: Durability::Strict,
            limits: Limits::default(),
        }
    }

    /// Durable in `path`.
    pub fn disk(path: impl Into<PathBuf>) -> Self {
        Self {
            backend: Backend::Disk(path.into()),
            ..Self::memory()
        }
    }
}

/// Batches whose state is kept so that lists at an exact, recent revision work.
const RECENT: usize = 64;

/// Snapshots handed out to paging readers, and the newest few states.
#[derive(Default)]
struct Kept {
    pinned: VecDeque<(Snapshot, Instant)>,
    recent: VecDeque<Snapshot>,
}

pub(crate) struct Shared {
    newest: RwLock<Snapshot>,
    kept: Mutex<Kept>,
    pub(crate) hub: Arc<Hub>,
    limits: Limits,
}

impl Shared {
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.newest
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn publish(&self, next: Snapshot) {
        let mut newest = self.newest.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *newest, next);
        drop(newest);
        let mut kept = self.kept();
        kept.recent.push_back(old);
        if kept.recent.len() > RECENT {
            kept.recent.pop_front();
        }
    }
}

/// Handle to an open store; clones share it.
///
/// The file is closed when [`Store::close`] returns or the last clone is gone.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    requests: mpsc::Sender<Request>,
}

impl Store {
    /// Opens the store and reads it into memory.
    pub fn open(options: Options) -> Result<Self, OpenError> {
        let Options {
            backend,
            durability,
            limits,
        } = options;
        let source = match backend {
            Backend::Memory => None,
            Backend::Disk(path) => Some(Source { path, layer: None }),
            Backend::Layered(path, layer) => Some(Source {
                path,
                layer: Some(layer),
            }),
        };
        let (disk, snapshot, history) = match source {
            None => (None, Snapshot::default(), History::default()),
            Some(source) => {
                let opened = Disk::open(&source, durability, limits.cache_bytes)?;
                (Some(opened.disk), opened.snapshot, opened.history)
            }
        };
        let hub_limits = HubLimits {
            history_events: limits.history_events,
            history_bytes: limits.history_bytes,
            watcher_queue: limits.watcher_queue.max(1),
        };
        let shared = Arc::new(Shared {
            hub: Arc::new(Hub::new(hub_limits, snapshot.revision, history)),
            newest: RwLock::new(snapshot),
            kept: Mutex::default(),
            limits,
        });
        // As many writers may wait as fit in two batches; more wait in their own tasks.
        let (requests, receiver) = mpsc::channel(1024);
        committer::start(receiver, Arc::clone(&shared), disk).map_err(OpenError::Thread)?;
        Ok(Self { shared, requests })
    }

    /// The newest state.
    pub fn snapshot(&self) -> Snapshot {
        self.shared.snapshot()
    }

    pub fn revision(&self) -> u64 {
        self.shared
            .newest
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .revision
    }

    pub fn get(&self, key: &Key) -> Option<Arc<Object>> {
        let newest = self
            .shared
            .newest
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        newest.get(key).cloned()
    }

    /// Keeps a snapshot so that [`Store::snapshot_at`] finds it until it is too old.
    pub fn pin(&self, snapshot: Snapshot) {
        let mut kept = self.shared.kept();
        let now = Instant::now();
        kept.pinned
            .retain(|(_, since)| now.duration_since(*since) < self.shared.limits.snapshot_age);
        if kept
            .pinned
            .iter()
            .any(|(held, _)| held.revision == snapshot.revision)
        {
            return;
        }
        if kept.pinned.len() >= self.shared.limits.snapshots {
            kept.pinned.pop_front();
        }
        kept.pinned.push_back((snapshot, now));
    }

    /// Returns the state at exactly `revision`, if it is still known.
    pub fn snapshot_at(&self, revision: u64) -> Option<Snapshot> {
        let newest = self.snapshot();
        if newest.revision == revision {
            return Some(newest);
        }
        let kept = self.shared.kept();
        let now = Instant::now();
        let fresh = |since: &Instant| now.duration_since(*since) < self.shared.limits.snapshot_age;
        let pinned = kept
            .pinned
            .iter()
            .filter(|(_, since)| fresh(since))
            .map(|(held, _)| held);
        pinned
            .chain(&kept.recent)
            .find(|held| held.revision == revision)
            .cloned()
    }

    /// Carries out one write; returns the new version (of a deletion: the last one).
    pub async fn write(&self, op: Op) -> Result<Arc<Object>, CommitError> {
        let mut objects = self.commit(vec![op]).await?;
        Ok(objects.pop().expect("one operation gives one object"))
    }

    /// Carries out all writes or none; checks are made against the state before the first.
    pub async fn commit(&self, ops: Vec<Op>) -> Result<Vec<Arc<Object>>, CommitError> {
        let (reply, answer) = oneshot::channel();
        let request = Request::Commit { ops, reply };
        self.requests
            .send(request)
            .await
            .map_err(|_| CommitError::Closed)?;
        answer.await.map_err(|_| CommitError::Closed)?
    }

    /// Watches a resource for changes after revision `from`, which may lie ahead.
    pub fn watch(
        &self,
        resource: &Resource,
        scope: Scope,
        from: u64,
    ) -> Result<Watcher, WatchError> {
        self.shared.hub.watch(resource, scope, from)
    }

    /// Waits until `revision` is published; false when `limit` passes first.
    pub async fn wait_for(&self, revision: u64, limit: Duration) -> bool {
        let mut published = self.shared.hub.subscribe_revision();
        let reached = published.wait_for(|published| *published >= revision);
        matches!(tokio::time::timeout(limit, reached).await, Ok(Ok(_)))
    }

    /// Number of open watches.
    pub fn watcher_count(&self) -> usize {
        self.shared.hub.watcher_count()
    }

    /// Makes everything acknowledged durable, also in relaxed mode.
    pub async fn flush(&self) -> Result<(), CommitError> {
        let (reply, answer) = oneshot::channel();
        self.requests
            .send(Request::Flush { reply })
            .await
            .map_err(|_| CommitError::Closed)?;
        answer.await.map_err(|_| CommitError::Closed)
    }

    /// Ends all watches and closes the file; later writes are refused.
    pub async fn close(&self) {
        let (reply, answer) = oneshot::channel();
        if self.requests.send(Request::Close { reply }).await.is_ok() {
            // An error means that somebody else closed it in the meantime.
            drop(answer.await);
        }
    }
}
