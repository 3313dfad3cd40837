//! What the commands that run a role in the foreground have in common.

use clap::ValueEnum;
use foreshore_model::ExitCode;
use foreshore_server::platform::RuntimeKind;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// How pods are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RuntimeArg {
    /// Plain processes
    Process,
    /// Processes in namespaces of their own, with the image's files
    Sandbox,
    /// No processes: pods that only say that they run
    Simulated,
}

impl RuntimeArg {
    pub(crate) fn kind(self) -> RuntimeKind {
        match self {
            Self::Process => RuntimeKind::Process,
            Self::Sandbox => RuntimeKind::Sandbox,
            Self::Simulated => RuntimeKind::Simulated,
        }
    }
}

/// Cancels when the person or the system asks the process to end.
pub(crate) async fn stopped_by_signal(shutdown: CancellationToken) -> Result<(), Failure> {
    let (terminate, interrupt) = listen()?;
    wait(terminate, interrupt).await;
    shutdown.cancel();
    Ok(())
}

/// The same, listening as soon as it returns.
pub(crate) fn stop_on_signal() -> Result<(CancellationToken, JoinHandle<()>), Failure> {
    let shutdown = CancellationToken::new();
    let (terminate, interrupt) = listen()?;
    let stop = shutdown.clone();
    let stopped = tokio::spawn(async move {
        wait(terminate, interrupt).await;
        stop.cancel();
    });
    Ok((shutdown, stopped))
}

fn listen() -> Result<(Signal, Signal), Failure> {
    let listen = |kind| {
        signal(kind).map_err(|error| {
            Failure::new(
                ExitCode::Failed,
                format!("cannot wait for signals: {error}"),
            )
        })
    };
    Ok((
        listen(SignalKind::terminate())?,
        listen(SignalKind::interrupt())?,
    ))
}

async fn wait(mut terminate: Signal, mut interrupt: Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
