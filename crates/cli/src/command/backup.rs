//! `foreshore backup` and `restore`: the state of a platform in one file, and back.

use std::path::PathBuf;

use clap::Args;
use foreshore_model::{ExitCode, clock};
use serde::Serialize;

use crate::backup::{self, BackupError};
use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::Outcome;

const KIB: u64 = 1024;

/// Write the platform's state into one file, also while it runs
///
/// Holds config repository, registry, databases, keys and tokens: keep it as
/// you keep keys. What services store in volumes of their own is not in it.
#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// New file to write
    #[arg(value_name = "FILE.tar.gz")]
    file: PathBuf,
}

/// Make the state that a backup holds, in a new data directory
///
/// All of it or nothing. `foreshore up` then starts from it: the embedded
/// cluster is made anew from the config repository and the registry.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// File that `foreshore backup` wrote
    #[arg(value_name = "FILE.tar.gz")]
    file: PathBuf,
}

#[derive(Debug, Serialize)]
struct Written {
    file: PathBuf,
    bytes: u64,
}

pub(crate) async fn run(args: BackupArgs, context: &Context) -> Result<Outcome, Failure> {
    let data = context.data()?;
    let file = args.file.clone();
    let bytes = blocking(move || backup::pack(&data, &file, clock::now())).await?;
    let written = Written {
        file: args.file,
        bytes,
    };
    context
        .terminal
        .say("it holds tokens and keys: keep it as you keep keys");
    let text = format!("{} ({} KiB)", written.file.display(), bytes.div_ceil(KIB));
    Outcome::answer(&written, text)
}

pub(crate) async fn restore(args: RestoreArgs, context: &Context) -> Result<Outcome, Failure> {
    let data = context.data()?;
    let target = data.clone();
    let about = blocking(move || backup::unpack(&args.file, &target)).await?;
    context
        .terminal
        .say("start it with `foreshore up`; every token works as before");
    let text = format!(
        "{} is as it was at {} (Foreshore {})",
        data.display(),
        about.made_at,
        about.program
    );
    Outcome::answer(&about, text)
}

/// Disks and git are waited for elsewhere than where everything else goes on.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| {
        Failure::new(
            ExitCode::Bug,
            format!("the work ended unexpectedly: {error}"),
        )
    })?;
    done.map_err(|error| {
        let failure = Failure::from_error(error.exit_code(), &error);
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })
}
