//! `foreshore jailed`: enters the jail of an action and becomes the action.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use clap::Args;
use foreshore_action::Confinement;
use foreshore_model::ExitCode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::Outcome;

/// What a shell answers for a program that is not there.
const NO_PROGRAM: u8 = 127;

/// How many processes and threads an action may add to those there are.
const PROCESSES: u64 = 4096;

/// Keeps an action that starts itself over and over from taking the machine along.
///
/// The kernel counts all processes of the user, and does not count for root.
fn bound_processes() -> std::io::Result<()> {
    // Running and all: `0.00 0.01 0.05 1/345 6789`.
    let load = std::fs::read_to_string("/proc/loadavg")?;
    let all = load
        .split_ascii_whitespace()
        .nth(3)
        .and_then(|counts| counts.split_once('/')?.1.parse::<u64>().ok())
        .unwrap_or(0);
    let wanted = all + PROCESSES;
    let now = getrlimit(Resource::Nproc);
    let limit = |limit: Option<u64>| Some(limit.map_or(wanted, |limit| limit.min(wanted)));
    let bounded = Rlimit {
        current: limit(now.current),
        maximum: limit(now.maximum),
    };
    Ok(setrlimit(Resource::Nproc, bounded)?)
}

/// Run a program that can only reach the given folders
#[derive(Debug, Args)]
pub(crate) struct JailedArgs {
    /// Folder it may change (can be repeated)
    #[arg(long, value_name = "DIR")]
    write: Vec<PathBuf>,

    /// Folder it may read (can be repeated)
    #[arg(long, value_name = "DIR")]
    read: Vec<PathBuf>,

    /// Do not run it where the kernel cannot confine it
    #[arg(long)]
    required: bool,

    /// Program and its arguments
    #[arg(last = true, required = true)]
    words: Vec<OsString>,
}

pub(crate) fn run(args: &JailedArgs, context: &Context) -> Result<Outcome, Failure> {
    let Some((program, words)) = args.words.split_first() else {
        return Err(Failure::usage("there is no program to run"));
    };
    // This thread alone is confined, and it is the one that becomes the action.
    let confined = foreshore_action::enter(&args.read, &args.write)
        .map_err(|error| Failure::from_error(ExitCode::Failed, &error))?;
    if confined == Confinement::None {
        if args.required {
            return Err(Failure::new(
                ExitCode::Refused,
                "this kernel cannot confine an action: it has no Landlock, or it is switched off",
            )
            .hint("Landlock is in Linux since 5.13: `lsm=landlock,…` on the kernel's command line")
            .hint("or run it with --no-jail"));
        }
        context
            .terminal
            .warn("this kernel has no Landlock: the action runs without a jail");
    }
    bound_processes().map_err(|error| {
        Failure::new(
            ExitCode::Failed,
            format!("cannot bound the processes of an action: {error}"),
        )
    })?;
    let error = Command::new(program).args(words).exec();
    if error.kind() == std::io::ErrorKind::NotFound {
        context.terminal.warn(&format!(
            "there is no program `{}` on the PATH",
            program.display()
        ));
        return Ok(Outcome::with_status(NO_PROGRAM));
    }
    Err(Failure::new(
        ExitCode::Failed,
        format!("cannot start `{}`: {error}", program.display()),
    ))
}
