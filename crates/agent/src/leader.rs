//! Works for the lead of one environment: one of several agents has it, the others stand by.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foreshore_cluster::{ApplyMode, CallError, Cluster, Fence, Lease};
use foreshore_model::clock;
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::lease::{Move, Tenure};

/// How long a stopping agent tries to give the lead back.
const LAST_TRY: Duration = Duration::from_secs(2);

/// Who leads, as far as this process knows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seat(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    /// Number of the present lead, none while another has it.
    term: Option<u64>,
    /// Nothing is written from this moment on.
    until: Option<Instant>,
}

impl Seat {
    fn lock(&self) -> MutexGuard<'_, Held> {
        // Two plain values are whole even if a holder panicked between them.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of the present lead, none while another has it.
    pub(crate) fn term(&self) -> Option<u64> {
        self.lock().term
    }

    /// Returns what lets writes of one lead through, and none of a later one.
    pub(crate) fn fence(&self, term: u64) -> Fence {
        let seat = self.clone();
        Fence::new(move || {
            let held = seat.lock();
            held.term == Some(term) && held.until.is_some_and(|until| Instant::now() < until)
        })
    }
}

/// One agent that would lead.
#[derive(Debug)]
pub(crate) struct Candidate {
    cluster: Cluster,
    namespace: String,
    name: String,
    tenure: Tenure,
    /// The lease as we wrote it last.
    ours: Option<Lease>,
    seat: Seat,
    /// Told whenever the lead comes or goes.
    moved: Arc<Notify>,
}

impl Candidate {
    pub(crate) fn new(
        cluster: Cluster,
        (namespace, name): (String, String),
        tenure: Tenure,
        moved: Arc<Notify>,
    ) -> Self {
        Self {
            cluster,
            namespace,
            name,
            tenure,
            ours: None,
            seat: Seat::default(),
            moved,
        }
    }

    pub(crate) fn seat(&self) -> Seat {
        self.seat.clone()
    }

    /// Works until told to stop, and gives back then what it has.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        loop {
            let pause = tokio::select! {
                pause = self.attempt() => pause,
                () = shutdown.cancelled() => break,
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shutdown.cancelled() => break,
            }
        }
        self.set(None);
        drop(tokio::time::timeout(LAST_TRY, self.give_back()).await);
    }

    /// Does what the lease asks for; returns how long nothing is to be done then.
    async fn attempt(&mut self) -> Duration {
        let found = match self.ours.take() {
            // While we lead, what we wrote last says enough.
            Some(lease) => lease,
            None => match self.cluster.lease(&self.namespace, &self.name).await {
                Ok(found) => found.unwrap_or_else(|| Lease::new(&self.namespace, &self.name)),
                Err(error) => return self.failed(&error, "lease not read; will retry"),
            },
        };
        let lease = match self.tenure.next(&found, Instant::now()) {
            Move::Write(lease) => lease,
            Move::Wait(pause) => {
                if self.set(None) {
                    info!(
                        lease = self.name,
                        holder = found.holder,
                        "another agent leads; standing by"
                    );
                }
                return pause;
            }
        };
        let sent_at = Instant::now();
        match self.cluster.write_lease(&lease, clock::now()).await {
            Ok(written) => {
                self.tenure.renewed(sent_at);
                if self.set(Some(written.transitions)) {
                    info!(lease = self.name, term = written.transitions, "leads");
                }
                self.ours = Some(written);
                self.tenure.pause(true)
            }
            // Somebody else wrote it meanwhile, or our own answer was lost: reading tells which.
            Err(CallError::Conflict { .. }) => {
                self.tenure.contested();
                self.sync();
                self.tenure.pause(false)
            }
            Err(CallError::NotFound { .. }) if lease.transitions <= 1 => {
                self.make_namespace().await
            }
            Err(error) => self.failed(&error, "lease not written; will retry"),
        }
    }

    fn failed(&self, error: &CallError, what: &'static str) -> Duration {
        warn!(
            error = error as &dyn std::error::Error,
            lease = self.name,
            "{what}"
        );
        self.tenure.pause(false)
    }

    /// The environment's namespace is made by whoever leads; before there is one nobody can.
    async fn make_namespace(&self) -> Duration {
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": self.namespace, "labels": {"app.kubernetes.io/managed-by": "foreshore"}},
        });
        match self.cluster.apply(&namespace, ApplyMode::Force).await {
            Ok(_) => Duration::ZERO,
            Err(error) => self.failed(&error, "namespace of the lease not made; will retry"),
        }
    }

    /// Lets workers write for as long as the lease allows.
    fn sync(&self) {
        self.seat.lock().until = self.tenure.writes_until();
    }

    /// Says who leads; returns whether that is news.
    fn set(&self, term: Option<u64>) -> bool {
        self.sync();
        let mut held = self.seat.lock();
        let is_news = held.term != term;
        held.term = term;
        drop(held);
        if is_news {
            self.moved.notify_one();
        }
        is_news
    }

    async fn give_back(mut self) {
        let Some(mut lease) = self.ours.take() else {
            return;
        };
        lease.holder.clear();
        if let Err(error) = self.cluster.write_lease(&lease, clock::now()).await {
            self.failed(&error, "lease not given back; it ends by itself");
        }
    }
}
