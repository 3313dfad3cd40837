//! Hints that the config repository moved, so that a release need not wait for the next poll.

use std::sync::Arc;
use std::time::Duration;

use foreshore_model::{EnvironmentName, SiteName};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tracing::debug;

use crate::server::Server;

/// Asks the server for the tip again and again and wakes the agent when it moved.
///
/// A hint is only a reason to look: what is true comes from the repository.
pub(crate) async fn listen(
    server: Server,
    environments: Vec<EnvironmentName>,
    site: SiteName,
    mut commit: watch::Receiver<Option<String>>,
    wake: Arc<Notify>,
) {
    let mut pause = Duration::from_millis(200);
    let mut hinted = String::new();
    loop {
        let known = commit.borrow_and_update().clone().unwrap_or_default();
        let asked_at = Instant::now();
        match server.tip(&known, &environments, &site).await {
            Ok(tip) if tip != known => {
                pause = Duration::from_millis(200);
                wake.notify_one();
                // The agent moves to the tip soon; asking at once for the same again would be a busy loop.
                let patience = if tip == hinted {
                    Duration::from_secs(2)
                } else {
                    Duration::from_millis(500)
                };
                hinted = tip;
                drop(tokio::time::timeout(patience, commit.changed()).await);
            }
            Ok(_) => {
                pause = Duration::from_millis(200);
                // A server that does not hold the question back must not be asked in a circle.
                tokio::time::sleep_until(asked_at + Duration::from_secs(1)).await;
            }
            Err(error) => {
                debug!(
                    error = &error as &dyn std::error::Error,
                    "no hints from the server; polling goes on"
                );
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(5));
            }
        }
    }
}
