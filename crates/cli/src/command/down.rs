//! `foreshore down`: stop the platform, leave nothing behind but its state.

use std::time::Duration;

use clap::Args;
use foreshore_model::ExitCode;
use foreshore_server::platform::{self, Record};
use foreshore_sys::Signal;
use tokio::time::timeout;

use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::Outcome;

/// Pods get their grace period, then the platform closes its stores.
const STOP_LIMIT: Duration = Duration::from_mins(1);

/// Stop the platform that runs from the data directory
///
/// Stops its pods, removes mounts and namespaces, and keeps the state: `up`
/// continues where it was.
#[derive(Debug, Args)]
pub(crate) struct DownArgs {
    /// Do not wait for anything to end by itself
    #[arg(long)]
    now: bool,
}

pub(crate) async fn run(args: &DownArgs, context: &Context) -> Result<Outcome, Failure> {
    let data = context.data()?;
    let failed = |error: &dyn std::error::Error| Failure::from_error(ExitCode::Failed, error);
    let record = Record::read(&data).map_err(|error| failed(&error))?;
    let process = match &record {
        Some(record) => record.process().map_err(|error| failed(&error))?,
        None => None,
    };
    let ran = process.is_some();
    if let Some(process) = process {
        let signal = if args.now { Signal::KILL } else { Signal::TERM };
        process.signal(signal).map_err(|error| failed(&error))?;
        if timeout(STOP_LIMIT, process.wait()).await.is_err() {
            context
                .terminal
                .warn("the platform did not stop in time and was killed");
            process
                .signal(Signal::KILL)
                .map_err(|error| failed(&error))?;
            process.wait().await.map_err(|error| failed(&error))?;
        }
    }
    // What a killed platform left is collected here too.
    platform::sweep(&data)
        .await
        .map_err(|error| failed(&error))?;
    Record::remove(&data).map_err(|error| failed(&error))?;
    let text = match (ran, record.is_some()) {
        (true, _) => format!("stopped; its state stays in {}", data.display()),
        (false, true) => format!(
            "the platform had ended already; what it left behind is removed, its state stays in {}",
            data.display()
        ),
        (false, false) => format!("no platform runs from {}", data.display()),
    };
    context.terminal.say(&text);
    Ok(Outcome::done())
}
