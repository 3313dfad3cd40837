//! Running one program to its end.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use foreshore_render::Command;
use foreshore_sys::{Identity, Process, Signal};
use tokio_util::sync::CancellationToken;

use crate::environment::passed_on;

/// A cancelled action gets this long to clean up.
const GRACE: Duration = Duration::from_secs(5);

/// Where and for whom an action runs.
#[derive(Debug, Clone)]
pub struct Options {
    pub directory: PathBuf,
    /// The environment of whoever started it; only what a build needs is passed on.
    pub environment: BTreeMap<String, String>,
    /// Keep standard output free for the answer: what the program prints there goes to standard error.
    pub output_to_stderr: bool,
}

/// How an action ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// The program's own exit code; 128 plus the signal that ended it.
    pub code: u8,
    pub elapsed: Duration,
}

/// Why an action did not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    #[error("there is no program `{program}` on the PATH")]
    NoProgram { program: String },
    #[error("cannot start `{program}`")]
    Start {
        program: String,
        #[source]
        cause: io::Error,
    },
    #[error("cannot wait for `{program}`")]
    Wait {
        program: String,
        #[source]
        cause: io::Error,
    },
    #[error("`{program}` was interrupted")]
    Interrupted { program: String },
}

/// Runs a program with our terminal; when cancelled, ends it with everything it started.
pub async fn run(
    command: &Command,
    options: &Options,
    cancelled: CancellationToken,
) -> Result<Ended, ActionError> {
    let program = command.program.clone();
    let started = Instant::now();
    let mut child = spawn(command, options)?;
    let pid = child.id();
    let wait = |cause| ActionError::Wait {
        program: program.clone(),
        cause,
    };
    tokio::select! {
        status = child.wait() => Ok(Ended { code: code(status.map_err(wait)?), elapsed: started.elapsed() }),
        () = cancelled.cancelled() => {
            end_group(pid, Signal::TERM).map_err(wait)?;
            if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
                end_group(pid, Signal::KILL).map_err(wait)?;
                child.wait().await.map_err(wait)?;
            }
            Err(ActionError::Interrupted { program })
        }
    }
}

fn spawn(command: &Command, options: &Options) -> Result<tokio::process::Child, ActionError> {
    let mut process = tokio::process::Command::new(&command.program);
    process
        .args(&command.arguments)
        .current_dir(&options.directory)
        .env_clear()
        .envs(passed_on(options.environment.clone(), &command.environment))
        // A group of its own, so that all of it can be ended together.
        .process_group(0)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    if options.output_to_stderr {
        process.stdout(io::stderr());
    }
    process.spawn().map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound => ActionError::NoProgram {
            program: command.program.clone(),
        },
        _ => ActionError::Start {
            program: command.program.clone(),
            cause,
        },
    })
}

fn end_group(pid: Option<u32>, signal: Signal) -> io::Result<()> {
    let Some(pid) = pid else { return Ok(()) };
    let identity = match Identity::of(pid) {
        Ok(identity) => identity,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if let Some(process) = Process::open(identity)? {
        process.signal_group(signal)?;
    }
    Ok(())
}

fn code(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        Command {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: BTreeMap::new(),
            output: None,
        }
    }

    fn options(directory: &tempfile::TempDir) -> Options {
        let path = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
        Options {
            directory: directory.path().to_owned(),
            environment: path,
            output_to_stderr: true,
        }
    }

    #[tokio::test]
    async fn the_programs_own_exit_code_is_passed_on() {
        let directory = tempfile::tempdir().unwrap();
        for (script, code) in [("exit 0", 0), ("exit 42", 42), ("kill -9 $$", 137)] {
            let ended = run(
                &shell(script),
                &options(&directory),
                CancellationToken::new(),
            )
            .await
            .unwrap();
            assert_eq!(ended.code, code, "{script}");
        }
    }

    #[tokio::test]
    async fn a_missing_program_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let command = Command {
            program: "no-such-program".into(),
            ..shell("")
        };
        let error = run(&command, &options(&directory), CancellationToken::new())
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no program `no-such-program` on the PATH"
        );
    }

    #[tokio::test]
    async fn a_cancelled_action_ends_with_everything_it_started() {
        let directory = tempfile::tempdir().unwrap();
        let cancelled = CancellationToken::new();
        let script = "sleep 600 & echo $! > child.tmp; mv child.tmp child; wait";
        let running = tokio::spawn({
            let (options, cancelled) = (options(&directory), cancelled.clone());
            async move { run(&shell(script), &options, cancelled).await }
        });
        let file = directory.path().join("child");
        let deadline = Instant::now() + Duration::from_secs(20);
        while !file.exists() && Instant::now() < deadline {
            tokio::task::yield_now().await;
        }
        cancelled.cancel();
        assert!(matches!(
            running.await.unwrap(),
            Err(ActionError::Interrupted { .. })
        ));
        let child = std::fs::read_to_string(file)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        let gone = || match Identity::of(child) {
            Ok(identity) => Process::open(identity)
                .unwrap()
                .is_none_or(|process| !process.is_running().unwrap()),
            Err(_) => true,
        };
        while !gone() && Instant::now() < deadline {
            tokio::task::yield_now().await;
        }
        assert!(gone(), "process {child} is still there");
    }
}
