//! `foreshore plan rollout`: carry a newer plan to every service at hand, a commit each.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use foreshore_model::{ExitCode, lock};
use serde_json::json;

use super::{Candidate, at, candidate, services};
use crate::build::lock_failure;
use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::{Outcome, Terminal};

#[derive(Debug, Args)]
pub(super) struct RolloutArgs {
    /// Directories to look in
    #[arg(default_value = ".", value_name = "DIR")]
    directories: Vec<PathBuf>,

    /// Show what would change and stop
    #[arg(long)]
    dry_run: bool,

    /// Do not ask
    #[arg(short, long)]
    yes: bool,

    /// Action to run in each service before its lock is committed
    #[arg(long, value_name = "ACTION")]
    check: Option<String>,
}

pub(super) async fn rollout(args: &RolloutArgs, context: &Context) -> Result<Outcome, Failure> {
    let mut behind = Vec::new();
    for directory in services(&args.directories)? {
        let candidate = match candidate(&directory, false).await {
            Ok(candidate) => candidate,
            Err(failure) if failure.message.contains("nothing to pin") => continue,
            Err(failure) => return Err(at(&directory, failure)),
        };
        context.terminal.say(&candidate.words());
        if !candidate.is_current() {
            behind.push(candidate);
        }
    }
    let names: Vec<String> = behind
        .iter()
        .map(|candidate| candidate.name.clone())
        .collect();
    if args.dry_run || behind.is_empty() {
        return Outcome::answer(&json!({ "updated": [], "behind": names }), String::new());
    }
    if !args.yes {
        let question = format!("Update {}?", names.join(", "));
        if !Terminal::is_interactive() {
            return Err(Failure::usage("nobody is there to agree")
                .hint("give --yes, or --dry-run to only look"));
        }
        if !context.terminal.confirm(&question) {
            return Ok(Outcome::done().with_code(ExitCode::Interrupted));
        }
    }
    let mut updated = Vec::new();
    for candidate in &behind {
        carry_out(candidate, args.check.as_deref()).map_err(|failure| {
            let done = if updated.is_empty() {
                "none is updated".to_owned()
            } else {
                format!("updated before: {}", updated.join(", "))
            };
            at(&candidate.directory, failure).hint(done)
        })?;
        context
            .terminal
            .say(&format!("{}: updated and committed", candidate.name));
        updated.push(candidate.name.clone());
    }
    let text = updated.join("\n");
    Outcome::answer(&json!({ "updated": updated, "behind": names }), text)
}

/// Writes the lock, checks the service with it, and commits it; a check that fails leaves the old lock.
fn carry_out(candidate: &Candidate, check: Option<&str>) -> Result<(), Failure> {
    let directory = &candidate.directory;
    foreshore_plan::write_lock(directory, &candidate.newest.lock)
        .map_err(|error| lock_failure(&error))?;
    let done = checked(directory, check).and_then(|()| commit(candidate));
    if done.is_err() {
        let path = directory.join(lock::FILE_NAME);
        // What cannot be put back is told by git.
        let _put_back = match &candidate.before {
            Some(before) => {
                foreshore_plan::write_lock(directory, before).map_err(|error| lock_failure(&error))
            }
            None => std::fs::remove_file(path).map_err(|error| Failure::usage(error.to_string())),
        };
    }
    done
}

fn checked(directory: &Path, check: Option<&str>) -> Result<(), Failure> {
    let Some(action) = check else { return Ok(()) };
    let program = std::env::current_exe().map_err(|error| {
        Failure::new(
            ExitCode::Failed,
            format!("cannot find this program: {error}"),
        )
    })?;
    let status = Command::new(program)
        .args(["run", "-C"])
        .arg(directory)
        .arg(action)
        .status()
        .map_err(|error| {
            Failure::new(ExitCode::Failed, format!("cannot run `{action}`: {error}"))
        })?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(
        ExitCode::Failed,
        format!("action `{action}` failed with the new plan ({status})"),
    ))
}

fn commit(candidate: &Candidate) -> Result<(), Failure> {
    let lock = &candidate.newest.lock;
    let what = lock.commit.as_ref().map_or_else(
        || lock.hash.short().to_owned(),
        |commit| commit[..10].to_owned(),
    );
    let message = format!("take plan {what}\n\nPlan: {}", candidate.plan);
    for arguments in [
        &["add", "--", lock::FILE_NAME][..],
        &[
            "commit",
            "--quiet",
            "--only",
            "--message",
            &message,
            "--",
            lock::FILE_NAME,
        ],
    ] {
        let output = Command::new("git")
            .arg("-C")
            .arg(&candidate.directory)
            .args(arguments)
            .output()
            .map_err(|error| Failure::usage(format!("cannot start git: {error}")))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(Failure::new(
                ExitCode::Failed,
                format!("git cannot commit the lock: {said}"),
            ));
        }
    }
    Ok(())
}
