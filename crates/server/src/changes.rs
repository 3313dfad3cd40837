//! Lets requests wait until something has changed.

use std::time::Duration;

use tokio::sync::watch;

/// The longest a request may wait for a change.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// A version that grows with every change of what the server would answer.
#[derive(Debug, Clone)]
pub(crate) struct Changes {
    version: watch::Sender<u64>,
}

impl Changes {
    /// Starts at `first`; a server that starts again must start higher than it ended.
    pub(crate) fn starting_at(first: u64) -> Self {
        Self {
            version: watch::Sender::new(first),
        }
    }

    pub(crate) fn version(&self) -> u64 {
        *self.version.borrow()
    }

    /// Wakes everybody who waits.
    pub(crate) fn announce(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    /// Waits until the version is another than `known`, or the time is over.
    pub(crate) async fn wait(&self, known: u64, limit: Duration) {
        self.wait_until(limit, |version| version != known).await;
    }

    /// Waits until `changed` holds, looking again at every change, or the time is over.
    pub(crate) async fn wait_until(&self, limit: Duration, mut changed: impl FnMut(u64) -> bool) {
        let mut receiver = self.version.subscribe();
        let waited = receiver.wait_for(|version| changed(*version));
        // Both ends of the wait are good: the caller looks at the world again.
        match tokio::time::timeout(limit.min(WAIT_MAX), waited).await {
            Ok(Ok(_) | Err(_)) | Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_wakes_who_waits_for_another_version() {
        let changes = Changes::starting_at(7);
        let waiting = tokio::spawn({
            let changes = changes.clone();
            async move { changes.wait(7, Duration::from_secs(20)).await }
        });
        changes.announce();
        tokio::time::timeout(Duration::from_secs(5), waiting)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(changes.version(), 8);
    }

    #[tokio::test]
    async fn waiting_ends_without_a_change() {
        let changes = Changes::starting_at(1);
        changes.wait(1, Duration::from_millis(10)).await;
        assert_eq!(changes.version(), 1);
    }
}
