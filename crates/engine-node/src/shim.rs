//! The pod shim: the parent of one container, alive as long as it is.
//!
//! A program mode with a single thread and nothing but files to talk to, so
//! that it survives the node agent and costs little. It starts the container,
//! writes its output to the log, waits for its end and leaves word of it.
//!
//! ```text
//! FOLDER/lock         held by the shim while it lives
//! FOLDER/spec.json    what to start                      (written by the node)
//! FOLDER/state.json   who runs                           (once it runs)
//! FOLDER/exit.json    how it ended, or why it never ran  (last word)
//! FOLDER/log, log.1…  output in the format container runtimes use
//! ```

mod execute;
mod files;
mod launch;
mod log;
mod pump;
mod sandbox;
mod spec;

use std::ffi::OsString;
use std::path::Path;

use foreshore_model::chain;

pub(crate) use files::{Files, FilesError, read_document, write_document};
#[cfg(test)]
pub(crate) use log::LogFiles;
pub(crate) use spec::{
    ContainerSpec, Ending, Exit, Isolation, LogLimits, MountSpec, RunningState, SandboxSpec, User,
};

/// Runs the pod shim and ends the process with its exit code.
///
/// `arguments` are those after `pod-shim`: either the folder of a container,
/// or `exec FOLDER PROGRAM [ARGUMENT…]` to run a program beside it, `exec-stdin`
/// if it is to read our standard input, `exec-tty` if that is a terminal. Call it
/// before anything starts a thread.
#[expect(
    clippy::exit,
    reason = "the shim is a program of its own that shares the binary"
)]
pub fn pod_shim_main(arguments: &[OsString]) -> ! {
    let code = match arguments {
        [folder] => run(Path::new(folder)),
        [mode, folder, program @ ..] if !program.is_empty() => match execute::Mode::of(mode) {
            Some(mode) => execute::run(Path::new(folder), mode, program),
            None => misused(),
        },
        _ => misused(),
    };
    std::process::exit(code.into())
}

fn misused() -> u8 {
    complain("usage: pod-shim FOLDER | pod-shim exec[-stdin|-tty] FOLDER PROGRAM [ARGUMENT…]");
    2
}

fn run(folder: &Path) -> u8 {
    match launch::supervise(&Files::new(folder)) {
        Ok(()) => 0,
        Err(error) => {
            complain(&chain(&error));
            1
        }
    }
}

/// Standard error of the shim is a file beside the container's log.
#[expect(
    clippy::print_stderr,
    reason = "the shim has no tracing and nobody else to tell"
)]
fn complain(words: &str) {
    eprintln!("{words}");
}
