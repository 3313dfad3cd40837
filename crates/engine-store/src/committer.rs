//! The one writer: takes transactions in batches, checks them against the newest state,
//! makes the batch durable, and only then shows it to anybody.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tracing::error;

use crate::disk::{Disk, Record};
use crate::hub::{Event, EventKind};
use crate::object::{Body, Key, Object};
use crate::snapshot::Snapshot;
use crate::store::Shared;

/// Transactions that may share one durable write; bounds the latency of the first of them.
const BATCH_MAX: usize = 512;

/// What must be true of an object for a write to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    Absent,
    Revision(u64),
    /// Present or not.
    Anything,
}

/// One write.
#[derive(Clone, Debug)]
pub enum Op {
    Put {
        key: Key,
        expect: Expect,
        body: Body,
    },
    /// `last` is what watchers are shown; the object must exist.
    Delete {
        key: Key,
        expect: Expect,
        last: Body,
    },
}

/// Why a transaction was not carried out; none of it was.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommitError {
    #[error("`{key}` exists already")]
    Exists { key: Key },
    #[error("`{key}` does not exist")]
    Missing { key: Key },
    #[error("`{key}` was changed by somebody else")]
    Changed { key: Key },
    #[error("cannot write to the store file")]
    Write(#[source] Arc<redb::Error>),
    #[error("the store is closed")]
    Closed,
}

pub(crate) type Reply = oneshot::Sender<Result<Vec<Arc<Object>>, CommitError>>;

pub(crate) enum Request {
    Commit { ops: Vec<Op>, reply: Reply },
    Flush { reply: oneshot::Sender<()> },
    Close { reply: oneshot::Sender<()> },
}

/// A transaction that passed its checks, waiting to become durable.
struct Accepted {
    reply: Reply,
    objects: Vec<Arc<Object>>,
}

/// Changes of the current batch, over the published state.
struct Batch<'a> {
    base: &'a Snapshot,
    changed: HashMap<Key, Option<Arc<Object>>>,
    events: Vec<Arc<Event>>,
    revision: u64,
}

impl Batch<'_> {
    fn current(&self, key: &Key) -> Option<Arc<Object>> {
        match self.changed.get(key) {
            Some(changed) => changed.clone(),
            None => self.base.get(key).cloned(),
        }
    }

    fn admit(&mut self, ops: Vec<Op>) -> Result<Vec<Arc<Object>>, CommitError> {
        check(&ops, |key| self.current(key))?;
        Ok(ops.into_iter().map(|op| self.apply(op)).collect())
    }

    fn apply(&mut self, op: Op) -> Arc<Object> {
        self.revision += 1;
        let revision = self.revision;
        let (key, body, deletes) = match op {
            Op::Put { key, body, .. } => (key, body, false),
            Op::Delete { key, last, .. } => (key, last, true),
        };
        let previous = self.current(&key);
        let created = previous
            .as_ref()
            .map_or(revision, |previous| previous.created);
        let bytes = body.finish(revision);
        let object = Arc::new(Object::new(key.clone(), revision, created, bytes));
        let kind = match (&previous, deletes) {
            (_, true) => EventKind::Deleted,
            (None, false) => EventKind::Created,
            (Some(_), false) => EventKind::Updated,
        };
        self.changed
            .insert(key, (!deletes).then(|| Arc::clone(&object)));
        self.events
            .push(Arc::new(Event::new(kind, Arc::clone(&object), previous)));
        object
    }
}

/// Checks all operations against the state before the transaction.
fn check(ops: &[Op], current: impl Fn(&Key) -> Option<Arc<Object>>) -> Result<(), CommitError> {
    for op in ops {
        let (key, expect, deletes) = match op {
            Op::Put { key, expect, .. } => (key, *expect, false),
            Op::Delete { key, expect, .. } => (key, *expect, true),
        };
        let found = current(key);
        match (expect, &found) {
            (Expect::Absent, Some(_)) => return Err(CommitError::Exists { key: key.clone() }),
            (Expect::Revision(_), None) => return Err(CommitError::Missing { key: key.clone() }),
            (Expect::Revision(wanted), Some(object)) if object.revision != wanted => {
                return Err(CommitError::Changed { key: key.clone() });
            }
            _ if deletes && found.is_none() => {
                return Err(CommitError::Missing { key: key.clone() });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Starts the thread that does all writing.
pub(crate) fn start(
    requests: mpsc::Receiver<Request>,
    shared: Arc<Shared>,
    disk: Option<Disk>,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    std::thread::Builder::new()
        .name("store-committer".into())
        .spawn(move || run(&runtime, requests, &shared, disk))?;
    Ok(())
}

/// Runs until the store is closed or dropped; owns the file.
fn run(
    runtime: &Runtime,
    mut requests: mpsc::Receiver<Request>,
    shared: &Shared,
    mut disk: Option<Disk>,
) {
    let mut waiting = Vec::with_capacity(BATCH_MAX);
    let mut closing = None;
    while closing.is_none() {
        let due = disk.as_ref().and_then(Disk::sync_due);
        match runtime.block_on(receive(&mut requests, &mut waiting, due)) {
            Received::Requests => {}
            Received::SyncDue => flush(disk.as_mut()),
            Received::Nobody => break,
        }
        let mut transactions = Vec::with_capacity(waiting.len());
        let mut flushed = Vec::new();
        for request in waiting.drain(..) {
            match request {
                Request::Commit { ops, reply } => transactions.push((ops, reply)),
                Request::Flush { reply } => flushed.push(reply),
                Request::Close { reply } => closing = Some(reply),
            }
        }
        commit_batch(transactions, shared, disk.as_mut());
        for reply in flushed {
            flush(disk.as_mut());
            // The caller may have stopped waiting; the flush has happened all the same.
            reply.send(()).ok();
        }
    }
    shared.hub.close();
    if let Some(disk) = disk {
        disk.close(shared.snapshot().revision(), shared.hub.history());
    }
    if let Some(reply) = closing {
        reply.send(()).ok();
    }
}

enum Received {
    Requests,
    SyncDue,
    Nobody,
}

/// Waits for requests, in relaxed mode not longer than until the next sync is due.
async fn receive(
    requests: &mut mpsc::Receiver<Request>,
    waiting: &mut Vec<Request>,
    due: Option<Duration>,
) -> Received {
    let received = requests.recv_many(waiting, BATCH_MAX);
    let received = match due {
        None => Ok(received.await),
        Some(due) => tokio::time::timeout(due, received).await,
    };
    match received {
        Ok(0) => Received::Nobody,
        Ok(_) => Received::Requests,
        Err(_) => Received::SyncDue,
    }
}

fn flush(disk: Option<&mut Disk>) {
    if let Some(disk) = disk
        && let Err(cause) = disk.flush()
    {
        error!(
            error = &cause as &dyn std::error::Error,
            "store file could not be flushed"
        );
    }
}

fn commit_batch(transactions: Vec<(Vec<Op>, Reply)>, shared: &Shared, disk: Option<&mut Disk>) {
    if transactions.is_empty() {
        return;
    }
    let base = shared.snapshot();
    let mut batch = Batch {
        base: &base,
        changed: HashMap::new(),
        events: vec![],
        revision: base.revision,
    };
    let mut accepted = Vec::new();
    let mut refused = Vec::new();
    for (ops, reply) in transactions {
        match batch.admit(ops) {
            Ok(objects) => accepted.push(Accepted { reply, objects }),
            Err(error) => refused.push((reply, error)),
        }
    }
    let Batch {
        changed,
        events,
        revision,
        ..
    } = batch;
    if let Err(cause) = persist(disk, &changed, &base, revision) {
        let cause = Arc::new(cause);
        error!(
            error = &cause as &dyn std::error::Error,
            "store file could not be written"
        );
        let all = accepted.into_iter().map(|accepted| accepted.reply);
        for reply in all.chain(refused.into_iter().map(|(reply, _)| reply)) {
            drop(reply.send(Err(CommitError::Write(Arc::clone(&cause)))));
        }
        return;
    }
    if !events.is_empty() {
        let mut next = base;
        for event in &events {
            match event.kind {
                EventKind::Deleted => next.remove(&event.object.key, event.revision()),
                _ => next.put(Arc::clone(&event.object)),
            }
        }
        shared.publish(next);
        shared.hub.publish(events, revision);
    }
    for Accepted { reply, objects } in accepted {
        // A caller that gave up waiting loses only the answer.
        drop(reply.send(Ok(objects)));
    }
    // A refusal may rest on a write of this batch, so it too waits for durability.
    for (reply, error) in refused {
        drop(reply.send(Err(error)));
    }
}

fn persist(
    disk: Option<&mut Disk>,
    changed: &HashMap<Key, Option<Arc<Object>>>,
    base: &Snapshot,
    revision: u64,
) -> Result<(), redb::Error> {
    let Some(disk) = disk else { return Ok(()) };
    if changed.is_empty() {
        return Ok(());
    }
    let records: Vec<Record> = changed
        .iter()
        .map(|(key, object)| Record {
            key: key.clone(),
            object: object.clone(),
        })
        .collect();
    let before = |key: &Key| base.get(key).cloned();
    disk.write(&records, revision, base.revision, before)
}
