//! Starts git so that nothing of the user's environment leaks in.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use crate::error::GitError;

/// Longest time one local plumbing command may take; they take milliseconds.
pub(crate) const LOCAL_DEADLINE: Duration = Duration::from_mins(1);

/// The most bytes of an answer that are kept in memory.
const ANSWER_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Variables by which a caller (a hook, a shell) would redirect git.
const FOREIGN: [&str; 31] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CONFIG",
    "GIT_CONFIG_PARAMETERS",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_CEILING_DIRECTORIES",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_GRAFT_FILE",
    "GIT_REPLACE_REF_BASE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_QUARANTINE_PATH",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_DEFAULT_HASH",
    "GIT_EXEC_PATH",
    "GIT_TEMPLATE_DIR",
    "GIT_TRACE",
    "GIT_TRACE_CURL",
    "GIT_TRACE_PACKET",
    "GIT_CURL_VERBOSE",
    "GIT_ASKPASS",
    "SSH_ASKPASS",
    "GIT_PROTOCOL",
    "GIT_AUTHOR_DATE",
    "GIT_COMMITTER_DATE",
    "GIT_EDITOR",
];

/// Settings of every run on a repository of ours, whatever its own file says.
const SETTINGS: [(&str, &str); 18] = [
    ("safe.directory", "*"),
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.attributesFile", "/dev/null"),
    ("core.askPass", ""),
    ("credential.helper", ""),
    // Objects and references reach the disk before git returns; see `durable` for the rest.
    ("core.fsync", "all"),
    ("core.fsyncMethod", "fsync"),
    ("core.logAllRefUpdates", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("receive.autogc", "false"),
    // One pack per write: one file to sync instead of one per object.
    ("fastimport.unpackLimit", "0"),
    ("transfer.unpackLimit", "1"),
    ("transfer.fsckObjects", "true"),
    ("protocol.version", "2"),
    ("http.followRedirects", "false"),
    ("advice.pushUpdateRejected", "false"),
];

/// Returns `git` with a clean environment and the settings of ours plus `extra`.
pub(crate) fn git(extra: &[(&str, &str)]) -> Command {
    let mut command = bare_git();
    command
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null");
    for (index, (key, value)) in SETTINGS.iter().chain(extra).enumerate() {
        command
            .env(format!("GIT_CONFIG_KEY_{index}"), key)
            .env(format!("GIT_CONFIG_VALUE_{index}"), value);
    }
    command.env(
        "GIT_CONFIG_COUNT",
        (SETTINGS.len() + extra.len()).to_string(),
    );
    command
}

/// Returns `git` for a repository of the user's, with the user's settings.
pub(crate) fn bare_git() -> Command {
    let mut command = Command::new("git");
    for name in FOREIGN {
        command.env_remove(name);
    }
    command
        .env_remove("GIT_CONFIG_COUNT")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_ALLOW_PROTOCOL", "http:https:ssh:file")
        .env(
            "GIT_SSH_COMMAND",
            "ssh -o BatchMode=yes -o ConnectTimeout=10",
        )
        .env("LC_ALL", "C");
    command
}

/// Returns `git` working on the bare repository at `path`.
pub(crate) fn git_in(path: &Path, extra: &[(&str, &str)]) -> Command {
    let mut command = git(extra);
    command.arg("--git-dir").arg(path);
    command
}

/// What a finished command said.
pub(crate) struct Answer {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Answer {
    pub(crate) fn into_error(self, command: &str) -> GitError {
        GitError::Failed {
            command: command.to_owned(),
            status: self.status.to_string(),
            stderr: self.stderr.trim().to_owned(),
        }
    }

    /// Returns stdout if the command succeeded.
    pub(crate) fn success(self, command: &str) -> Result<Vec<u8>, GitError> {
        if self.status.success() {
            Ok(self.stdout)
        } else {
            Err(self.into_error(command))
        }
    }

    /// Returns stdout as text if the command succeeded.
    pub(crate) fn text(self, command: &str) -> Result<String, GitError> {
        String::from_utf8(self.success(command)?).map_err(|_| GitError::Malformed {
            command: command.to_owned(),
            what: "not UTF-8".to_owned(),
        })
    }
}

/// Runs `command` to its end; `name` stands for it in errors.
pub(crate) fn run(
    command: Command,
    name: &str,
    input: Option<Vec<u8>>,
) -> Result<Answer, GitError> {
    run_until(
        command,
        name,
        input.map_or(Input::None, Input::Bytes),
        LOCAL_DEADLINE,
    )
}

/// Runs `command` with a file as its input.
pub(crate) fn run_with_file(command: Command, name: &str, input: File) -> Result<Answer, GitError> {
    run_until(command, name, Input::File(input), LOCAL_DEADLINE)
}

enum Input {
    None,
    Bytes(Vec<u8>),
    File(File),
}

/// Runs `command` with all it starts; the whole process group dies at the deadline.
pub(crate) fn run_group(
    mut command: Command,
    name: &str,
    deadline: Duration,
) -> Result<Answer, GitError> {
    command.process_group(0);
    run_until(command, name, Input::None, deadline)
}

fn run_until(
    mut command: Command,
    name: &str,
    input: Input,
    deadline: Duration,
) -> Result<Answer, GitError> {
    let pipe = |cause| GitError::Pipe {
        command: name.to_owned(),
        cause,
    };
    let until = Instant::now() + deadline;
    match &input {
        Input::None => command.stdin(Stdio::null()),
        Input::Bytes(_) => command.stdin(Stdio::piped()),
        Input::File(file) => command.stdin(file.try_clone().map_err(pipe)?),
    };
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|cause| GitError::Start {
        command: name.to_owned(),
        cause,
    })?;
    let stdout = collect(child.stdout.take().expect("stdout is piped"));
    let stderr = collect(child.stderr.take().expect("stderr is piped"));
    if let Input::Bytes(input) = input {
        let mut stdin = child.stdin.take().expect("stdin is piped");
        std::thread::spawn(move || {
            // A command that ends early says why on stderr and in its status.
            let _ended_early = stdin.write_all(&input);
        });
    }
    let finished = finish(&mut child, &stdout, &stderr, until);
    let Some((status, stdout, stderr)) = finished else {
        kill(&mut child);
        return Err(GitError::Deadline {
            command: name.to_owned(),
            after: deadline,
        });
    };
    let status = status.map_err(pipe)?;
    let stdout = stdout.map_err(pipe)?;
    let stderr = String::from_utf8_lossy(&stderr.map_err(pipe)?).into_owned();
    Ok(Answer {
        status,
        stdout,
        stderr,
    })
}

type Collected = std::io::Result<Vec<u8>>;

fn collect(from: impl Read + Send + 'static) -> Receiver<Collected> {
    let (sender, receiver) = sync_channel(1);
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let result = from
            .take(ANSWER_BYTES_MAX)
            .read_to_end(&mut bytes)
            .map(|_| bytes);
        // The receiver is gone when the deadline has passed.
        let _too_late = sender.send(result);
    });
    receiver
}

fn finish(
    child: &mut Child,
    stdout: &Receiver<Collected>,
    stderr: &Receiver<Collected>,
    until: Instant,
) -> Option<(std::io::Result<ExitStatus>, Collected, Collected)> {
    let wait = |receiver: &Receiver<Collected>| match receiver
        .recv_timeout(until.saturating_duration_since(Instant::now()))
    {
        Ok(collected) => Some(collected),
        Err(RecvTimeoutError::Timeout) => None,
        Err(RecvTimeoutError::Disconnected) => {
            Some(Err(std::io::Error::other("the reader stopped")))
        }
    };
    let stdout = wait(stdout)?;
    let stderr = wait(stderr)?;
    // Both pipes are closed, so the process is at its end.
    let mut pause = Duration::from_micros(50);
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some((Ok(status), stdout, stderr)),
            Ok(None) if Instant::now() >= until => return None,
            Ok(None) => std::thread::sleep(pause),
            Err(cause) => return Some((Err(cause), stdout, stderr)),
        }
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

/// Kills a child and, if it leads one, its process group.
fn kill(child: &mut Child) {
    let own_group = i32::try_from(child.id())
        .ok()
        .and_then(rustix::process::Pid::from_raw)
        .filter(|pid| rustix::process::getpgid(Some(*pid)).is_ok_and(|group| group == *pid));
    if let Some(group) = own_group {
        // It may have ended by itself meanwhile, which is as good.
        let _gone = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _gone = child.kill();
    let _reaped = child.wait();
}
