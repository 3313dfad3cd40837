//! Follows the registry: what arrives there, policies may want released.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use foreshore_model::artifact::ARTIFACT_TYPE;
use foreshore_registry::{Arrival, Registry};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::api::{Arrived, act_on};
use crate::platform::write_private;
use crate::state::State;

/// Long enough not to burden a registry that is down, short enough for a person who waits.
const RETRY: Duration = Duration::from_secs(2);

/// Acts on every arrival once the server has it, also on those it missed while it was down.
pub(crate) struct Follower {
    registry: Registry,
    state: Arc<State>,
    /// Holds the number of the last arrival that was dealt with.
    cursor: PathBuf,
}

impl Follower {
    pub(crate) fn new(registry: Registry, state: Arc<State>, cursor: PathBuf) -> Self {
        Self {
            registry,
            state,
            cursor,
        }
    }

    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut news = self.registry.subscribe();
        let mut done = self.read_cursor();
        loop {
            let caught_up = self.catch_up(&mut done).await;
            let wait = async {
                if !caught_up {
                    tokio::time::sleep(RETRY).await;
                    return true;
                }
                // Whatever woke us, the registry's own list says what there is.
                !matches!(news.recv().await, Err(RecvError::Closed))
            };
            tokio::select! {
                goes_on = wait => if !goes_on { return },
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// Deals with all arrivals after `done`; false if one has to be tried again.
    async fn catch_up(&self, done: &mut u64) -> bool {
        for arrival in self.registry.arrivals(*done) {
            if !self.deal_with(&arrival).await {
                return false;
            }
            *done = arrival.sequence;
            if let Err(error) = write_private(&self.cursor, done.to_string().as_bytes()) {
                // Acting again after a restart changes nothing, so this may wait for better times.
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot note the arrival as dealt with"
                );
            }
        }
        true
    }

    async fn deal_with(&self, arrival: &Arrival) -> bool {
        let service = arrival
            .repository
            .strip_prefix("artifacts/")
            .and_then(|name| name.parse().ok());
        let (Some(service), Some(ARTIFACT_TYPE)) = (service, arrival.artifact_type.as_deref())
        else {
            return true;
        };
        let arrived = Arrived {
            service,
            digest: arrival.digest.clone(),
        };
        match act_on(&self.state, &arrived).await {
            Ok(answer) => {
                for release in answer.released {
                    tracing::info!(service = %release.service, environment = %release.environment, release = release.sequence, "released on arrival");
                }
                true
            }
            Err(problem) if problem.is_refusal() => {
                tracing::warn!(service = %arrived.service, digest = %arrived.digest, reason = problem.message(), "arrival left alone");
                true
            }
            Err(_) => false,
        }
    }

    /// A cursor that cannot be read means starting over, which changes nothing that is done.
    fn read_cursor(&self) -> u64 {
        fs::read_to_string(&self.cursor)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(0)
    }
}
