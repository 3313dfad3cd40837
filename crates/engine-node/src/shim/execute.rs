//! Runs a program beside a running container: exec probes and hooks.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use foreshore_sys::GroundError;

use super::files::{Files, FilesError};
use super::sandbox;
use super::spec::{ContainerSpec, Isolation};

/// Exit code when the program could not be run, as shells have it.
const NOT_RUN: u8 = 126;
/// Exit code when there is no such program.
const NOT_FOUND: u8 = 127;
/// Added to a signal's number, as shells do.
const SIGNALLED: i32 = 128;

#[derive(Debug, thiserror::Error)]
enum ExecuteError {
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error("the container does not run")]
    NotRunning,
    #[error("cannot enter the ground")]
    Ground(#[source] GroundError),
    #[error("cannot enter the container")]
    Enter(#[source] io::Error),
    #[error("cannot run `{program}`")]
    Run {
        program: String,
        #[source]
        source: io::Error,
    },
}

/// What the program's standard input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Nothing,
    Ours,
    /// Ours, and the terminal that controls it.
    Terminal,
}

impl Mode {
    pub(super) fn of(word: &OsStr) -> Option<Self> {
        match word.to_str()? {
            "exec" => Some(Self::Nothing),
            "exec-stdin" => Some(Self::Ours),
            "exec-tty" => Some(Self::Terminal),
            _ => None,
        }
    }
}

pub(super) fn run(folder: &Path, mode: Mode, program: &[OsString]) -> u8 {
    match execute(&Files::new(folder), mode, program) {
        Ok(code) => code,
        Err(error) => {
            super::complain(&foreshore_model::chain(&error));
            match error {
                ExecuteError::Run { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                    NOT_FOUND
                }
                _ => NOT_RUN,
            }
        }
    }
}

fn execute(files: &Files, mode: Mode, program: &[OsString]) -> Result<u8, ExecuteError> {
    let spec = files.spec()?.ok_or(ExecuteError::NotRunning)?;
    let state = files.state()?.ok_or(ExecuteError::NotRunning)?;
    let alive = foreshore_sys::Process::open(state.container).map_err(ExecuteError::Enter)?;
    let _alive = alive.ok_or(ExecuteError::NotRunning)?;
    // Their paths are the host's, so before the container is entered.
    let mut doors = sandbox::open_doors(&spec.groups).map_err(ExecuteError::Enter)?;
    if let Some(pin) = &spec.network {
        foreshore_sys::enter_pinned(pin).map_err(ExecuteError::Ground)?;
    }
    let (name, arguments) = program.split_first().expect("checked by the caller");
    let mut command = match &spec.isolation {
        Isolation::None { .. } => Command::new(resolve(&spec, name)),
        Isolation::Sandbox(_) => {
            foreshore_sys::mount::join(state.container.pid).map_err(ExecuteError::Enter)?;
            Command::new(name)
        }
    };
    command
        .args(arguments)
        .env_clear()
        .envs(spec.environment.iter().cloned());
    if mode == Mode::Terminal {
        let is_set = spec.environment.iter().any(|(name, _)| name == "TERM");
        if !is_set {
            command.env("TERM", "xterm");
        }
        foreshore_sys::take_terminal(&mut command);
    }
    if mode == Mode::Nothing {
        command.stdin(Stdio::null());
    }
    let rights = ContainerSpec {
        isolation: Isolation::None {
            program: PathBuf::new(),
            root: PathBuf::new(),
        },
        ..spec
    };
    let files = files.clone();
    foreshore_sys::before_exec(&mut command, move || {
        sandbox::pass_doors(&mut doors)?;
        sandbox::become_container(&files, &rights)
            .map_err(|error| io::Error::from_raw_os_error(error.errno()))
    });
    foreshore_sys::die_with_parent(&mut command);
    foreshore_sys::close_inherited(&mut command);
    let status = command.status().map_err(|source| ExecuteError::Run {
        program: name.to_string_lossy().into_owned(),
        source,
    })?;
    let code = status
        .code()
        .unwrap_or_else(|| SIGNALLED + status.signal().unwrap_or_default());
    Ok(u8::try_from(code).unwrap_or(u8::MAX))
}

/// A plain process finds programs in its image, not on the host.
fn resolve(spec: &ContainerSpec, name: &OsString) -> PathBuf {
    let Isolation::None { root, .. } = &spec.isolation else {
        return PathBuf::from(name);
    };
    let path = Path::new(name);
    let folders = spec
        .environment
        .iter()
        .find(|(name, _)| name == "PATH")
        .map_or("", |(_, value)| value);
    let candidates: Vec<PathBuf> = if path.components().count() > 1 {
        vec![path.to_path_buf()]
    } else {
        folders
            .split(':')
            .map(|folder| Path::new(folder).join(path))
            .collect()
    };
    let inside = |path: &PathBuf| root.join(path.strip_prefix("/").unwrap_or(path));
    candidates
        .iter()
        .map(inside)
        .find(|path| path.is_file())
        .unwrap_or_else(|| root.join("no-such-program"))
}
