//! Outcomes on their way to the server: kept until it has them.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foreshore_model::Outcome;
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::server::Server;

/// The most outcomes that wait for a server that is down: two for each of a
/// thousand services in several environments. Older ones give way, because
/// every service reports again what is true when it changes.
const WAITING_MAX: usize = 10_000;
/// The most outcomes in one request.
const BATCH_MAX: usize = 100;
/// Outcomes a slow listener in this process may lag behind.
const LISTENER_LAG: usize = 1_024;
/// How long a stopping agent tries to get rid of what waits.
const LAST_TRY: Duration = Duration::from_secs(2);

/// Takes outcomes from the workers and hands them on.
#[derive(Debug)]
pub(crate) struct Reporter {
    waiting: Mutex<VecDeque<Outcome>>,
    added: Notify,
    heard: broadcast::Sender<Outcome>,
}

impl Reporter {
    pub(crate) fn new() -> Self {
        let heard = broadcast::channel(LISTENER_LAG).0;
        Self {
            waiting: Mutex::default(),
            added: Notify::new(),
            heard,
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Outcome>> {
        // Entries are pushed and popped whole, so the queue is usable after a panic.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn listen(&self) -> broadcast::Receiver<Outcome> {
        self.heard.subscribe()
    }

    pub(crate) fn report(&self, outcome: Outcome) {
        info!(
            environment = %outcome.environment,
            service = %outcome.service,
            release = outcome.sequence,
            phase = outcome.phase.word(),
            cause = outcome.causes.first().map(|cause| cause.reason.as_str()),
            "release reached a phase"
        );
        // Without a listener there is nobody to miss it.
        drop(self.heard.send(outcome.clone()));
        let mut waiting = self.lock();
        let same = |known: &Outcome| {
            known.environment == outcome.environment
                && known.service == outcome.service
                && known.sequence == outcome.sequence
                && known.phase == outcome.phase
        };
        match waiting.iter_mut().rev().find(|known| same(known)) {
            Some(known) => *known = outcome,
            None => waiting.push_back(outcome),
        }
        if waiting.len() > WAITING_MAX {
            waiting.pop_front();
        }
        drop(waiting);
        self.added.notify_one();
    }

    fn batch(&self) -> Vec<Outcome> {
        self.lock().iter().take(BATCH_MAX).cloned().collect()
    }

    /// Takes out what was delivered, unless it was replaced meanwhile.
    fn delivered(&self, batch: &[Outcome]) {
        self.lock().retain(|waiting| !batch.contains(waiting));
    }

    /// Delivers until told to stop.
    pub(crate) async fn run(&self, server: Server, shutdown: CancellationToken) {
        let mut pause = Duration::from_millis(200);
        loop {
            let batch = self.batch();
            if batch.is_empty() {
                tokio::select! {
                    () = self.added.notified() => continue,
                    () = shutdown.cancelled() => return,
                }
            }
            match server.report(&batch).await {
                Ok(()) => {
                    self.delivered(&batch);
                    pause = Duration::from_millis(200);
                }
                Err(problem) if problem.is_refusal() => {
                    error!(
                        error = &problem as &dyn Error,
                        count = batch.len(),
                        "server refuses outcomes; dropped"
                    );
                    self.delivered(&batch);
                }
                Err(problem) => {
                    warn!(
                        error = &problem as &dyn Error,
                        waiting = self.lock().len(),
                        "outcomes not delivered; will retry"
                    );
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = shutdown.cancelled() => {
                            self.last_try(&server).await;
                            return;
                        }
                    }
                    pause = (pause * 2).min(Duration::from_secs(5));
                }
            }
        }
    }

    async fn last_try(&self, server: &Server) {
        let batch = self.batch();
        let lost = !matches!(
            tokio::time::timeout(LAST_TRY, server.report(&batch)).await,
            Ok(Ok(()))
        );
        if lost {
            warn!(
                count = batch.len(),
                "stopping with outcomes not delivered; they are found again at the next start"
            );
        }
    }
}
