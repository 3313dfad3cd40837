//! Programs beside a running container: probes, hooks, and people's own.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use foreshore_sys::Terminal;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};

use super::{ContainerError, RunningContainer, system};

/// Output kept of a probe or hook.
const OUTPUT_BYTES_MAX: u64 = 4096;

/// How a probe or hook went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Executed {
    Ended { code: i32, output: String },
    TimedOut,
}

/// What somebody who runs a program wants to be connected with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Streams {
    Output,
    InputAndOutput,
    Terminal,
}

impl Streams {
    /// The mode of the pod shim.
    fn mode(self) -> &'static str {
        match self {
            Self::Output => "exec",
            Self::InputAndOutput => "exec-stdin",
            Self::Terminal => "exec-tty",
        }
    }
}

/// A program under way; it is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Executing {
    pub child: Child,
    pub ends: Ends,
}

/// Our ends of its standard streams.
#[derive(Debug)]
pub(crate) enum Ends {
    Pipes {
        stdin: Option<ChildStdin>,
        stdout: ChildStdout,
        stderr: ChildStderr,
    },
    Terminal(Arc<Terminal>),
}

/// Starts a program beside the container whose folder this is.
pub(crate) fn begin(
    shim: &Path,
    folder: &Path,
    program: &[String],
    streams: Streams,
) -> Result<Executing, ContainerError> {
    let mut command = Command::new(shim);
    command
        .arg("pod-shim")
        .arg(streams.mode())
        .arg(folder)
        .args(program)
        .env_clear()
        .current_dir("/");
    foreshore_sys::detach(&mut command);
    let terminal = match streams {
        Streams::Output => None,
        Streams::InputAndOutput => {
            command.stdin(Stdio::piped());
            None
        }
        Streams::Terminal => {
            let (terminal, slave) = Terminal::open().map_err(system("open a terminal"))?;
            let copy = || slave.try_clone().map_err(system("open a terminal"));
            command.stdin(copy()?).stdout(copy()?).stderr(slave);
            Some(terminal)
        }
    };
    if terminal.is_none() {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
    }
    let mut command = tokio::process::Command::from(command);
    command.kill_on_drop(true);
    let mut child = command.spawn().map_err(|source| ContainerError::Shim {
        shim: shim.to_path_buf(),
        source,
    })?;
    let ends = match terminal {
        Some(terminal) => Ends::Terminal(Arc::new(terminal)),
        None => Ends::Pipes {
            stdin: child.stdin.take(),
            stdout: child.stdout.take().expect("it was asked for"),
            stderr: child.stderr.take().expect("it was asked for"),
        },
    };
    Ok(Executing { child, ends })
}

impl RunningContainer {
    /// Runs a program beside the container; answers its exit code and the
    /// beginning of its output.
    pub(crate) async fn execute(
        &self,
        shim: &Path,
        program: &[String],
        limit: Duration,
    ) -> Result<Executed, ContainerError> {
        let Executing { mut child, ends } = begin(shim, self.folder(), program, Streams::Output)?;
        let Ends::Pipes { stdout, stderr, .. } = ends else {
            unreachable!("no terminal was asked for");
        };
        let run = async {
            let (out, err) = tokio::join!(beginning(stdout), beginning(stderr));
            let status = child.wait().await?;
            Ok::<_, io::Error>((status, out? + &err?))
        };
        match tokio::time::timeout(limit, run).await {
            Ok(done) => {
                let (status, output) = done.map_err(system("run a program in the container"))?;
                Ok(Executed::Ended {
                    code: status.code().unwrap_or(-1),
                    output,
                })
            }
            Err(_elapsed) => Ok(Executed::TimedOut),
        }
    }
}

/// Reads all, keeps the beginning: the program must not block on a full pipe.
async fn beginning(mut from: impl tokio::io::AsyncRead + Unpin) -> io::Result<String> {
    let mut kept = Vec::new();
    (&mut from)
        .take(OUTPUT_BYTES_MAX)
        .read_to_end(&mut kept)
        .await?;
    tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
    Ok(String::from_utf8_lossy(&kept).into_owned())
}
