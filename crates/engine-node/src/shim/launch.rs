//! Starts the container, waits for its end, and leaves word of it.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};

use foreshore_model::clock;
use foreshore_sys::{GroundError, Identity, Process, Signal};

use super::files::{Files, FilesError};
use super::log::LogFiles;
use super::pump::Pump;
use super::sandbox;
use super::spec::{ContainerSpec, Ending, Exit, Isolation, RunningState};

#[derive(Debug, thiserror::Error)]
pub(super) enum ShimError {
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error("there is no `spec.json` in this folder")]
    NoSpec,
    #[error("another shim holds this folder")]
    Taken,
    #[error("cannot {action}")]
    System {
        action: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("cannot enter the ground")]
    Ground(#[source] GroundError),
}

fn system(action: &'static str) -> impl FnOnce(io::Error) -> ShimError {
    move |source| ShimError::System { action, source }
}

/// Runs one container from start to end.
pub(super) fn supervise(files: &Files) -> Result<(), ShimError> {
    let _lock = files.lock()?.ok_or(ShimError::Taken)?;
    let spec = files.spec()?.ok_or(ShimError::NoSpec)?;
    let started_at = clock::now();
    let ending = match run(files, &spec) {
        Ok(status) => ending_of(status),
        Err(error) => Ending::NotStarted {
            message: foreshore_model::chain(&error),
        },
    };
    let kills = spec
        .memory_events
        .as_deref()
        .map_or(0, foreshore_sys::cgroup::out_of_memory_kills);
    files.write_exit(&Exit {
        ending,
        out_of_memory: kills > 0,
        started_at,
        finished_at: clock::now(),
    })?;
    Ok(())
}

fn run(files: &Files, spec: &ContainerSpec) -> Result<ExitStatus, ShimError> {
    foreshore_sys::new_session().map_err(system("start a session"))?;
    foreshore_sys::become_subreaper().map_err(system("adopt orphans"))?;
    if let Some(pin) = &spec.network {
        foreshore_sys::enter_pinned(pin).map_err(ShimError::Ground)?;
    }
    let log = LogFiles::open(&files.log(), spec.log).map_err(system("open the log"))?;
    let (mut child, stdout, stderr) = start(files, spec)?;
    let container = Identity::of(child.id()).map_err(system("identify the container"))?;
    let shim = Identity::own().map_err(system("identify the shim"))?;
    files.write_state(&RunningState {
        shim,
        container,
        started_at: clock::now(),
    })?;
    // It is a pipe to the node, which waits until it is closed.
    foreshore_sys::end_stdout().map_err(system("close standard output"))?;

    let held = Process::open(container).map_err(system("hold the container"))?;
    let mut pump = Pump::new(stdout, stderr, log);
    if let Some(held) = &held {
        pump.run_until(held.descriptor(), || reap_orphans(child.id()))
            .map_err(system("wait for the container"))?;
    }
    let status = child.wait().map_err(system("wait for the container"))?;
    end_descendants(child.id());
    pump.finish().map_err(system("read the last output"))?;
    Ok(status)
}

fn start(files: &Files, spec: &ContainerSpec) -> Result<(Child, OwnedFd, OwnedFd), ShimError> {
    let (stdout, container_stdout) = io::pipe().map_err(system("make a pipe"))?;
    let (stderr, container_stderr) = io::pipe().map_err(system("make a pipe"))?;
    let (mut trouble, telling) = io::pipe().map_err(system("make a pipe"))?;
    let mut command = command(files, spec, telling).map_err(system("prepare namespaces"))?;
    command
        .stdout(container_stdout)
        .stderr(container_stderr)
        .stdin(Stdio::null());
    let spawned = command.spawn();
    // The command holds the writing ends of the pipes.
    drop(command);
    match spawned {
        Ok(child) => Ok((child, OwnedFd::from(stdout), OwnedFd::from(stderr))),
        Err(error) => Err(start_failure(spec, &mut trouble, &error)),
    }
}

/// The standard library passes only an error number from the child; what was
/// being done comes through the pipe.
fn start_failure(spec: &ContainerSpec, trouble: &mut PipeReader, error: &io::Error) -> ShimError {
    let mut words = String::new();
    let program = spec.arguments.first().map_or("", String::as_str);
    let source = match trouble.read_to_string(&mut words) {
        Ok(length) if length > 0 => io::Error::other(words),
        _ => io::Error::new(error.kind(), format!("`{program}`: {error}")),
    };
    ShimError::System {
        action: "start the program",
        source,
    }
}

fn command(files: &Files, spec: &ContainerSpec, mut telling: PipeWriter) -> io::Result<Command> {
    let name = spec.arguments.first().cloned().unwrap_or_default();
    let mut command = match &spec.isolation {
        Isolation::None { program, .. } => {
            let mut command = Command::new(program);
            command.arg0(name);
            command
        }
        Isolation::Sandbox(_) => {
            foreshore_sys::mount::unshare(foreshore_sys::mount::Namespaces::ChildProcesses)?;
            Command::new(name)
        }
    };
    command
        .args(spec.arguments.iter().skip(1))
        .env_clear()
        .envs(spec.environment.iter().cloned());
    command.process_group(0);
    let files = files.clone();
    let spec = spec.clone();
    let mut doors = sandbox::open_doors(&spec.groups)?;
    foreshore_sys::before_exec(&mut command, move || {
        // First of all, so that all it does from here on counts.
        sandbox::pass_doors(&mut doors)?;
        sandbox::become_container(&files, &spec).map_err(|error| {
            // If even this fails, the error number alone has to do.
            let _lost = telling.write_all(foreshore_model::chain(&error).as_bytes());
            io::Error::from_raw_os_error(error.errno())
        })
    });
    foreshore_sys::die_with_parent(&mut command);
    foreshore_sys::close_inherited(&mut command);
    Ok(command)
}

/// Waits for descendants that lost their parent and have ended, but never
/// for the container itself: its status is wanted later.
fn reap_orphans(container: u32) {
    for child in foreshore_sys::children().unwrap_or_default() {
        if child != container {
            // One that still runs is looked at again next time.
            let _still_running = reap(child);
        }
    }
}

/// Kills what the container left behind, until nothing is left.
fn end_descendants(container: u32) {
    loop {
        let left: Vec<u32> = foreshore_sys::children()
            .unwrap_or_default()
            .into_iter()
            .filter(|child| *child != container)
            .collect();
        if left.is_empty() {
            return;
        }
        for child in left {
            if foreshore_sys::signal_child(child, Signal::KILL).is_err() {
                return;
            }
            wait_for(child);
        }
    }
}

fn reap(child: u32) -> Option<()> {
    use rustix::process::{WaitOptions, waitpid};
    waitpid(as_pid(child), WaitOptions::NOHANG)
        .ok()
        .flatten()
        .map(drop)
}

fn wait_for(child: u32) {
    use rustix::process::{WaitOptions, waitpid};
    while matches!(
        waitpid(as_pid(child), WaitOptions::empty()),
        Err(rustix::io::Errno::INTR)
    ) {}
}

fn as_pid(child: u32) -> Option<rustix::process::Pid> {
    i32::try_from(child)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
}

fn ending_of(status: ExitStatus) -> Ending {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ending::Exited { code },
        (None, Some(signal)) => Ending::Signalled { signal },
        (None, None) => Ending::Exited {
            code: status.into_raw(),
        },
    }
}
