//! Keeps volumes made from objects up to date while the pod runs, and pods
//! within the size of their volumes.

use std::sync::Arc;

use foreshore_model::chain;
use jiff::{SignedDuration, Timestamp};

use super::{News, Worker};
use crate::options::RuntimeKind;
use crate::pod::backoff::later;
use crate::pod::fields;
use crate::pod::state::{Failure, Preparation};

/// When volumes are looked at again.
#[derive(Debug, Default)]
pub(super) struct Refreshing {
    due: Option<Timestamp>,
    is_under_way: bool,
}

impl Refreshing {
    /// Something has changed that volumes are made of.
    pub(super) fn at_once(&mut self, now: Timestamp) {
        self.due = Some(now);
    }
}

impl Worker {
    /// Looks at the volumes if that is due; answers when it is.
    pub(super) fn refresh(&mut self, now: Timestamp) -> Option<Timestamp> {
        let is_wanted = self.state.preparation == Preparation::Done
            && self.state.failure.is_none()
            && !self.state.is_over
            && fields::deletion(&self.pod).is_none()
            && self.context.options.runtime != RuntimeKind::Simulated
            && crate::prepare::may_change(&self.pod);
        if !is_wanted || self.refreshing.is_under_way {
            return None;
        }
        let every = SignedDuration::try_from(self.context.options.volumes_every)
            .unwrap_or(SignedDuration::MAX);
        let due = *self.refreshing.due.get_or_insert_with(|| later(now, every));
        if now < due {
            return Some(due);
        }
        // What changes from here on makes another one due.
        self.refreshing = Refreshing {
            due: None,
            is_under_way: true,
        };
        let (context, pod) = (Arc::clone(&self.context), Arc::clone(&self.pod));
        let (folder, address) = (self.folder.clone(), self.address.clone());
        let tokens = Arc::clone(&self.tokens);
        self.spawn(async move {
            let done = crate::prepare::refresh(&context, &pod, &folder, &address, &tokens).await;
            Some(News::Refreshed(done.map_err(|error| chain(&error))))
        });
        None
    }

    pub(super) fn hear_refreshed(&mut self, outcome: Result<Option<String>, String>) {
        self.refreshing.is_under_way = false;
        match outcome {
            Ok(None) => {}
            Ok(Some(message)) => {
                self.context
                    .warn(&self.pod, None, "Evicted", message.clone());
                self.state.failure = Some(Failure {
                    reason: "Evicted".to_owned(),
                    message,
                });
            }
            // What the pod has stays as it was.
            Err(message) => self.context.warn(&self.pod, None, "FailedMount", message),
        }
    }
}
