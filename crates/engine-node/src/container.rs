//! One start of one container, seen from the node: started through a shim,
//! found again after the node was away, signalled, waited for.

mod execute;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use foreshore_sys::{Process, Signal};
use tokio::io::AsyncReadExt;
use tokio::sync::Mutex;

use crate::shim::{ContainerSpec, Exit, Files, FilesError, RunningState};

pub(crate) use execute::{Ends, Executed, Streams, begin};

/// How long a shim may take to start its container. Mounting takes
/// milliseconds; a disk that takes longer than this is a disk that hangs.
const START_LIMIT: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub(crate) enum ContainerError {
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error("cannot start the pod shim `{shim}`")]
    Shim {
        shim: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the pod shim did not start the container within {START_LIMIT:?}")]
    Hangs,
    #[error("the pod shim ended without a word: {complaints}")]
    Silent { complaints: String },
    #[error("cannot {action}")]
    System {
        action: &'static str,
        #[source]
        source: io::Error,
    },
}

fn system(action: &'static str) -> impl FnOnce(io::Error) -> ContainerError {
    move |source| ContainerError::System { action, source }
}

/// What has become of a start.
#[derive(Debug)]
pub(crate) enum Outcome {
    Running(Arc<RunningContainer>),
    /// It has ended, or could not be started. The folder is where it ran.
    Ended(Exit, PathBuf),
    /// Its shim was killed, or never came to life.
    Lost(Option<RunningState>),
}

/// A container that runs, or ran a moment ago.
#[derive(Debug)]
pub(crate) struct RunningContainer {
    files: Files,
    pub state: RunningState,
    shim: Process,
    /// Present if this process started the shim and so has to reap it.
    child: Mutex<Option<tokio::process::Child>>,
}

/// Starts a container in `folder`, which must exist and be empty.
pub(crate) async fn start(
    shim: &Path,
    folder: &Path,
    spec: &ContainerSpec,
) -> Result<Outcome, ContainerError> {
    let files = Files::new(folder);
    files.write_spec(spec)?;
    let complaints = File::create(files.complaints()).map_err(system("create the shim's log"))?;
    let mut command = Command::new(shim);
    command
        .arg("pod-shim")
        .arg(folder)
        .env_clear()
        .current_dir("/");
    foreshore_sys::detach(&mut command);
    command.stdout(Stdio::piped()).stderr(complaints);
    let mut command = tokio::process::Command::from(command);
    let mut child = command.spawn().map_err(|source| ContainerError::Shim {
        shim: shim.to_path_buf(),
        source,
    })?;
    // The shim closes its standard output once the container runs.
    let mut stdout = child.stdout.take().expect("it was asked for");
    let mut nothing = Vec::new();
    match tokio::time::timeout(START_LIMIT, stdout.read_to_end(&mut nothing)).await {
        Ok(read) => drop(read.map_err(system("wait for the pod shim"))?),
        Err(_elapsed) => {
            child.kill().await.map_err(system("kill the pod shim"))?;
            return Err(ContainerError::Hangs);
        }
    }
    if let (None, Some(state)) = (files.exit()?, files.state()?)
        && let Some(process) = Process::open(state.shim).map_err(system("hold the pod shim"))?
    {
        let child = Mutex::new(Some(child));
        return Ok(Outcome::Running(Arc::new(RunningContainer {
            files,
            state,
            shim: process,
            child,
        })));
    }
    child
        .wait()
        .await
        .map_err(system("wait for the pod shim"))?;
    match files.exit()? {
        Some(exit) => Ok(Outcome::Ended(exit, folder.to_path_buf())),
        None => Err(ContainerError::Silent {
            complaints: complaints_of(&files),
        }),
    }
}

fn complaints_of(files: &Files) -> String {
    let text = std::fs::read_to_string(files.complaints()).unwrap_or_default();
    let last = text.lines().last().unwrap_or("no complaints").to_owned();
    last.chars().take(1000).collect()
}

/// Finds out what has become of a start that another run of the node made.
pub(crate) async fn find(folder: &Path) -> Result<Outcome, ContainerError> {
    let files = Files::new(folder);
    if !folder.exists() {
        return Ok(Outcome::Lost(None));
    }
    let deadline = tokio::time::Instant::now() + START_LIMIT;
    loop {
        if let Some(exit) = files.exit()? {
            return Ok(Outcome::Ended(exit, folder.to_path_buf()));
        }
        // Whoever holds the lock lives. Taking it also keeps a shim from
        // starting that was spawned at the moment the former node died.
        let is_alive = files.lock()?.is_none();
        let state = files.state()?;
        if let (true, Some(state)) = (is_alive, state)
            && let Some(shim) = Process::open(state.shim).map_err(system("hold the pod shim"))?
        {
            let child = Mutex::new(None);
            return Ok(Outcome::Running(Arc::new(RunningContainer {
                files,
                state,
                shim,
                child,
            })));
        }
        if !is_alive && files.exit()?.is_none() {
            end_abandoned(state.as_ref())?;
            return Ok(Outcome::Lost(state));
        }
        // The shim lives but has not started its container yet, or it has
        // just written its last word.
        if tokio::time::Instant::now() >= deadline {
            return Err(ContainerError::Hangs);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Kills a container whose shim was killed.
fn end_abandoned(state: Option<&RunningState>) -> Result<(), ContainerError> {
    if let Some(state) = state
        && let Some(process) =
            Process::open(state.container).map_err(system("hold the container"))?
    {
        process
            .signal_group(Signal::KILL)
            .map_err(system("kill the container"))?;
    }
    Ok(())
}

impl RunningContainer {
    pub(crate) fn folder(&self) -> &Path {
        self.files.folder()
    }

    /// Waits for the end; `None` if nobody is left to tell how it was.
    pub(crate) async fn ended(&self) -> Result<Option<Exit>, ContainerError> {
        self.shim
            .wait()
            .await
            .map_err(system("wait for the pod shim"))?;
        if let Some(mut child) = self.child.lock().await.take() {
            child
                .wait()
                .await
                .map_err(system("wait for the pod shim"))?;
        }
        let exit = self.files.exit()?;
        if exit.is_none() {
            self.kill()?;
        }
        Ok(exit)
    }

    /// Waits for the shim's end without reaping it.
    pub(crate) async fn shim_ended(&self) -> Result<(), ContainerError> {
        self.shim
            .wait()
            .await
            .map_err(system("wait for the pod shim"))
    }

    /// Asks the container to end.
    pub(crate) fn terminate(&self) -> Result<(), ContainerError> {
        self.signal(Signal::TERM)
    }

    /// Ends the container and its process group; the shim sees to the rest.
    pub(crate) fn kill(&self) -> Result<(), ContainerError> {
        let Some(process) =
            Process::open(self.state.container).map_err(system("hold the container"))?
        else {
            return Ok(());
        };
        process
            .signal_group(Signal::KILL)
            .map_err(system("kill the container"))?;
        process
            .signal(Signal::KILL)
            .map_err(system("kill the container"))?;
        Ok(())
    }

    fn signal(&self, signal: Signal) -> Result<(), ContainerError> {
        if let Some(process) =
            Process::open(self.state.container).map_err(system("hold the container"))?
        {
            process
                .signal(signal)
                .map_err(system("signal the container"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
