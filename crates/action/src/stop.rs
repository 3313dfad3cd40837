//! How a run is told to end before its end.

use tokio_util::sync::CancellationToken;

/// The two ways in which somebody asks.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// Ctrl-C: the terminal has already told whoever has it, and they decide what it means.
    pub interrupted: CancellationToken,
    /// The process that runs the action is to end, and the action with it.
    pub terminated: CancellationToken,
}

impl Stop {
    /// Asked once somebody asks, as far as a program with or without the terminal is concerned.
    pub(crate) async fn asked(&self, has_terminal: bool) {
        if has_terminal {
            return self.terminated.cancelled().await;
        }
        tokio::select! {
            () = self.interrupted.cancelled() => {}
            () = self.terminated.cancelled() => {}
        }
    }
}
