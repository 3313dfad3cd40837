//! Running one program to its end.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use foreshore_render::Command;
use foreshore_sys::{Identity, Process, Signal};

use crate::environment::{passed_on, whole};
use crate::jail::Jail;
use crate::stop::Stop;

/// A cancelled action gets this long to clean up.
const GRACE: Duration = Duration::from_secs(5);

/// Where and for whom an action runs.
#[derive(Debug, Clone)]
pub struct Options {
    pub directory: PathBuf,
    /// The environment of whoever started it; only what a build needs is passed on.
    pub environment: BTreeMap<String, String>,
    /// Everything of that environment is passed on, as shuttle's scripts expect; tokens of ours are not.
    pub whole_environment: bool,
    pub output: Output,
    pub input: Input,
    /// What it is confined to; none for an action that may do what its user may.
    pub jail: Option<Jail>,
    /// How long it may take.
    pub timeout: Option<Duration>,
}

/// Where what a program prints goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// To our own outputs.
    Inherit,
    /// Standard output stays free for the answer: all goes to standard error.
    ToStderr,
    /// Kept, and given back with the end.
    Capture,
}

/// What a program can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    None,
    /// Our own input, which is no terminal.
    Inherit,
    /// The terminal: the program stays in our process group, Ctrl-C reaches it directly, and what
    /// it means is the program's to say.
    Terminal,
}

/// What is kept of a captured output; the end of it is what matters.
const CAPTURED_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Who prints more than this where it is captured is ended: it would fill the disk.
const PRINTED_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// How an action ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The program's own exit code; 128 plus the signal that ended it.
    pub code: u8,
    pub elapsed: Duration,
    /// What it printed, where that was captured.
    pub output: String,
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
    #[error(transparent)]
    Memory(crate::memory::MemoryError),
    #[error("`{program}` was interrupted")]
    Interrupted { program: String },
    #[error("`{program}` took longer than the {} s that its action may take, and was ended", limit.as_secs_f64())]
    TooLong { program: String, limit: Duration },
    #[error("`{program}` printed more than {} MiB, and was ended", PRINTED_BYTES_MAX >> 20)]
    TooMuchOutput { program: String },
}

/// Runs a program with our terminal; when asked to stop, ends it with everything it started.
pub async fn run(command: &Command, options: &Options, stop: Stop) -> Result<Ended, ActionError> {
    let program = command.program.clone();
    let started = Instant::now();
    let captured = match options.output {
        Output::Capture => Some(tempfile::tempfile().map_err(|cause| ActionError::Start {
            program: program.clone(),
            cause,
        })?),
        Output::Inherit | Output::ToStderr => None,
    };
    let mut child = spawn(command, options, captured.as_ref())?;
    let pid = child.id();
    let wait = |cause| ActionError::Wait {
        program: program.clone(),
        cause,
    };
    let ended = tokio::select! {
        status = child.wait() => Ok(status.map_err(wait)?),
        () = stop.asked(options.input == Input::Terminal) => {
            Err(ActionError::Interrupted { program: program.clone() })
        }
        limit = too_long(options.timeout) => {
            Err(ActionError::TooLong { program: program.clone(), limit })
        }
        () = too_much(captured.as_ref()) => {
            Err(ActionError::TooMuchOutput { program: program.clone() })
        }
    };
    match ended {
        Ok(status) => Ok(Ended {
            code: code(status),
            elapsed: started.elapsed(),
            output: captured
                .map(read_back)
                .transpose()
                .map_err(wait)?
                .unwrap_or_default(),
        }),
        Err(why) => {
            let whole_group = options.input != Input::Terminal;
            // Who fills the disk is not asked first.
            let grace = match why {
                ActionError::TooMuchOutput { .. } => Duration::ZERO,
                _ => GRACE,
            };
            if !grace.is_zero() {
                end(pid, Signal::TERM, whole_group).map_err(wait)?;
            }
            if tokio::time::timeout(grace, child.wait()).await.is_err() {
                end(pid, Signal::KILL, whole_group).map_err(wait)?;
                child.wait().await.map_err(wait)?;
            }
            Err(why)
        }
    }
}

/// Waits until an action has taken as long as it may.
async fn too_long(limit: Option<Duration>) -> Duration {
    match limit {
        Some(limit) => {
            tokio::time::sleep(limit).await;
            limit
        }
        None => std::future::pending().await,
    }
}

/// Waits until more is printed than anybody reads.
async fn too_much(captured: Option<&File>) {
    let Some(file) = captured else {
        return std::future::pending().await;
    };
    loop {
        tokio::time::sleep(LOOK).await;
        // A file that cannot be looked at any more does not grow for ever either.
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        if length > PRINTED_BYTES_MAX {
            return;
        }
    }
}

/// Returns the end of what was captured.
fn read_back(mut file: File) -> io::Result<String> {
    let length = file.metadata()?.len();
    file.seek(io::SeekFrom::Start(
        length.saturating_sub(CAPTURED_BYTES_MAX),
    ))?;
    let mut bytes = Vec::new();
    file.take(CAPTURED_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn spawn(
    command: &Command,
    options: &Options,
    captured: Option<&File>,
) -> Result<tokio::process::Child, ActionError> {
    let failed = |cause: io::Error| match cause.kind() {
        io::ErrorKind::NotFound => ActionError::NoProgram {
            program: command.program.clone(),
        },
        _ => ActionError::Start {
            program: command.program.clone(),
            cause,
        },
    };
    let environment = if options.whole_environment {
        whole(options.environment.clone(), &command.environment)
    } else {
        passed_on(options.environment.clone(), &command.environment)
    };
    let mut process = match &options.jail {
        None => tokio::process::Command::new(&command.program),
        Some(jail) => {
            let mut process = tokio::process::Command::new(&jail.program);
            process.args(jail.words()).arg(&command.program);
            process
        }
    };
    process
        .args(&command.arguments)
        .current_dir(&options.directory)
        .env_clear()
        .envs(environment)
        .kill_on_drop(true);
    match options.input {
        Input::None => process.stdin(Stdio::null()),
        Input::Inherit | Input::Terminal => process.stdin(Stdio::inherit()),
    };
    if options.input != Input::Terminal {
        // A group of its own, so that all of it can be ended together.
        process.process_group(0);
    }
    if options.output == Output::ToStderr {
        process.stdout(io::stderr());
    }
    if let Some(file) = captured {
        process
            .stdout(file.try_clone().map_err(failed)?)
            .stderr(file.try_clone().map_err(failed)?);
    }
    process.spawn().map_err(failed)
}

fn end(pid: Option<u32>, signal: Signal, whole_group: bool) -> io::Result<()> {
    let Some(pid) = pid else { return Ok(()) };
    let identity = match Identity::of(pid) {
        Ok(identity) => identity,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if let Some(process) = Process::open(identity)? {
        if whole_group {
            process.signal_group(signal)?;
        } else {
            process.signal(signal)?;
        }
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
            whole_environment: false,
            output: Output::ToStderr,
            input: Input::None,
            jail: None,
            timeout: None,
        }
    }

    #[tokio::test]
    async fn who_takes_too_long_or_prints_without_end_is_ended_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let slow = Options {
            timeout: Some(Duration::from_millis(50)),
            ..options(&directory)
        };
        let error = run(&shell("sleep 600 & wait"), &slow, Stop::default())
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "`/bin/sh` took longer than the 0.05 s that its action may take, and was ended"
        );
        let loud = Options {
            output: Output::Capture,
            ..options(&directory)
        };
        let error = run(&shell("trap '' TERM; yes & wait"), &loud, Stop::default())
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "`/bin/sh` printed more than 256 MiB, and was ended"
        );
    }

    #[tokio::test]
    async fn the_programs_own_exit_code_is_passed_on() {
        let directory = tempfile::tempdir().unwrap();
        for (script, code) in [("exit 0", 0), ("exit 42", 42), ("kill -9 $$", 137)] {
            let ended = run(&shell(script), &options(&directory), Stop::default())
                .await
                .unwrap();
            assert_eq!(ended.code, code, "{script}");
        }
    }

    #[tokio::test]
    async fn what_is_captured_is_given_back_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let options = Options {
            output: Output::Capture,
            ..options(&directory)
        };
        let script = "echo one; echo two >&2; echo three; exit 3";
        let ended = run(&shell(script), &options, Stop::default())
            .await
            .unwrap();
        assert_eq!(
            (ended.code, ended.output.as_str()),
            (3, "one\ntwo\nthree\n")
        );
    }

    #[tokio::test]
    async fn a_missing_program_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let command = Command {
            program: "no-such-program".into(),
            ..shell("")
        };
        let error = run(&command, &options(&directory), Stop::default())
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
        let stop = Stop::default();
        let script = "sleep 600 & echo $! > child.tmp; mv child.tmp child; wait";
        let running = tokio::spawn({
            let (options, stop) = (options(&directory), stop.clone());
            async move { run(&shell(script), &options, stop).await }
        });
        let file = directory.path().join("child");
        let deadline = Instant::now() + Duration::from_secs(20);
        while !file.exists() && Instant::now() < deadline {
            tokio::task::yield_now().await;
        }
        stop.interrupted.cancel();
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
