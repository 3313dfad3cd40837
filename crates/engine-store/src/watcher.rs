//! The receiving end of a watch.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::hub::{Event, Hub};
use crate::object::Resource;

/// The watch has ended: its queue overflowed or the store was closed.
///
/// Everything queued before was delivered, so the reader may watch again
/// from the last revision it saw.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the watch was closed by the store")]
pub struct Closed;

/// Delivers the events of one resource in order, each once, without a gap.
pub struct Watcher {
    backlog: VecDeque<Arc<Event>>,
    queue: mpsc::Receiver<Arc<Event>>,
    id: u64,
    resource: Resource,
    hub: Arc<Hub>,
}

impl Watcher {
    pub(crate) fn new(
        backlog: VecDeque<Arc<Event>>,
        queue: mpsc::Receiver<Arc<Event>>,
        id: u64,
        resource: Resource,
        hub: Arc<Hub>,
    ) -> Self {
        Self {
            backlog,
            queue,
            id,
            resource,
            hub,
        }
    }

    /// Waits for the next event; dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Arc<Event>, Closed> {
        if let Some(event) = self.backlog.pop_front() {
            return Ok(event);
        }
        self.queue.recv().await.ok_or(Closed)
    }

    /// Returns an event that is already there.
    pub fn ready(&mut self) -> Option<Arc<Event>> {
        self.backlog
            .pop_front()
            .or_else(|| self.queue.try_recv().ok())
    }

    /// Returns a revision up to which everything was handed out, if that is so now.
    pub fn progress(&self) -> Option<u64> {
        // The order matters: events enter the queue before their revision is published.
        let published = self.hub.published();
        (self.backlog.is_empty() && self.queue.is_empty()).then_some(published)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.hub.unsubscribe(&self.resource, self.id);
    }
}
