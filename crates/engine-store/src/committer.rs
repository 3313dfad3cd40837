//! The one writer: takes transactions in batches, checks them against the newest state,
//! makes the batch durable, and only then shows it to anybody.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tracing::error;

use crate::disk::{Disk, Record};
use crate::hub::{Event, EventKind};
use crate::object::{Body, Key, Object};
use crate::snapshot::Snapshot;
use crate::store::Shared;

/// Transactions that may share one durable write; bounds the latency of the first of them.
const BATCH_MAX: usize = 512;

/// Pause between looks at the queue while a relaxed sync is pending.
const RELAXED_POLL: Duration = Duration::from_micros(200);

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
    Put { key: Key, expect: Expect, body: Body },
    /// `last` is what watchers are shown; the object must exist.
    Delete { key: Key, expect: Expect, last: Body },
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
        let created = previous.as_ref().map_or(revision, |previous| previous.created);
        let bytes = body.finish(revision);
        let object = Arc::new(Object::new(key.clone(), revision, created, bytes));
        let kind = match (&previous, deletes) {
            (_, true) => EventKind::Deleted,
            (None, false) => EventKind::Created,
            (Some(_), false) => EventKind::Updated,
        };
        self.changed.insert(key, (!deletes).then(|| Arc::clone(&object)));
        self.events.push(Arc::new(Event::new(kind, Arc::clone(&object), previous)));
        object
    }
}

/// Checks all operations against the state before the transaction.
fn check(
    ops: &[Op],
    current: impl Fn(&Key) -> Option<Arc<Object>>,
) -> Result<(), CommitError> {
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

/// Runs until the store is closed or dropped; owns the file.
pub(crate) fn run(
    mut requests: mpsc::Receiver<Request>,
    shared: &Shared,
    mut disk: Option<Disk>,
) {
    let mut waiting = Vec::with_capacity(BATCH_MAX);
    let mut closing = None;
    while closing.is_none() {
        match receive(&mut requests, &mut waiting, disk.as_ref()) {
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
            drop(reply.send(()));
        }
    }
    shared.hub.close();
    if let Some(disk) = disk {
        disk.close(shared.snapshot().revision());
    }
    if let Some(reply) = closing {
        drop(reply.send(()));
    }
}

enum Received {
    Requests,
    SyncDue,
    Nobody,
}

/// Waits for requests, in relaxed mode not longer than until the next sync is due.
fn receive(
    requests: &mut mpsc::Receiver<Request>,
    waiting: &mut Vec<Request>,
    disk: Option<&Disk>,
) -> Received {
    let Some(due) = disk.and_then(Disk::sync_due) else {
        return match requests.blocking_recv_many(waiting, BATCH_MAX) {
            0 => Received::Nobody,
            _ => Received::Requests,
        };
    };
    match requests.try_recv() {
        Ok(request) => {
            waiting.push(request);
            while let Ok(request) = requests.try_recv()
                && waiting.len() < BATCH_MAX
            {
                waiting.push(request);
            }
            Received::Requests
        }
        Err(mpsc::error::TryRecvError::Disconnected) => Received::Nobody,
        Err(mpsc::error::TryRecvError::Empty) => {
            // A write that arrives meanwhile waits for this sync, which is short by design.
            std::thread::sleep(due.min(RELAXED_POLL));
            if due <= RELAXED_POLL { Received::SyncDue } else { Received::Requests }
        }
    }
}

fn flush(disk: Option<&mut Disk>) {
    if let Some(disk) = disk
        && let Err(cause) = disk.flush()
    {
        error!(error = &cause as &dyn std::error::Error, "store file could not be flushed");
    }
}

fn commit_batch(transactions: Vec<(Vec<Op>, Reply)>, shared: &Shared, disk: Option<&mut Disk>) {
    if transactions.is_empty() {
        return;
    }
    let base = shared.snapshot();
    let mut batch =
        Batch { base: &base, changed: HashMap::new(), events: vec![], revision: base.revision };
    let mut accepted = Vec::new();
    let mut refused = Vec::new();
    for (ops, reply) in transactions {
        match batch.admit(ops) {
            Ok(objects) => accepted.push(Accepted { reply, objects }),
            Err(error) => refused.push((reply, error)),
        }
    }
    let Batch { changed, events, revision, .. } = batch;
    if let Err(cause) = persist(disk, &changed, revision) {
        let cause = Arc::new(cause);
        error!(error = &cause as &dyn std::error::Error, "store file could not be written");
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
    revision: u64,
) -> Result<(), redb::Error> {
    let Some(disk) = disk else { return Ok(()) };
    if changed.is_empty() {
        return Ok(());
    }
    let records = changed.iter().map(|(key, object)| match object {
        Some(object) => Record::Put(object),
        None => Record::Delete(key),
    });
    disk.write(records, revision)
}
