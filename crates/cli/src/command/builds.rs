//! `foreshore builds`: what became of source that was pushed to the embedded git host.

use std::time::{Duration, Instant};

use clap::Args;
use foreshore_model::api::{BuildLog, BuildRow, BuildState, Status};
use foreshore_model::{ExitCode, ServiceName};

use crate::client::Client;
use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::{Outcome, table};
use crate::wait::{self, path_segment};

/// How often is looked whether a build has ended; changes of the status end the pause early.
const LOOK_SECONDS: u64 = 5;

/// Show what became of pushed source
///
/// A branch or a tag that is pushed to `/source/<service>.git` of the server
/// is built there. Lists the builds, the newest first.
#[derive(Debug, Args)]
pub(crate) struct BuildsArgs {
    /// Only this service
    service: Option<ServiceName>,

    /// Print what this build said, and stop: `b7`
    #[arg(long, value_name = "BUILD", conflicts_with_all = ["service", "wait"])]
    log: Option<String>,

    /// Wait until none waits or goes on, and fail if the newest failed
    #[arg(long)]
    wait: bool,

    /// How long to wait
    #[arg(long, default_value = "30m", value_parser = wait::duration, value_name = "DURATION")]
    timeout: Duration,
}

pub(crate) async fn run(args: BuildsArgs, context: &Context) -> Result<Outcome, Failure> {
    let client = context.client()?;
    if let Some(id) = &args.log {
        let log: BuildLog = client
            .get(&format!("/builds/{}/log", path_segment(id)))
            .await?;
        if log.cut {
            context.terminal.warn("the beginning is left out");
        }
        return Outcome::answer(&log, log.text.clone());
    }
    let rows = if args.wait {
        until_ended(&client, &args).await?
    } else {
        list(&client, &args).await?
    };
    let outcome = Outcome::answer(&rows, text(&rows))?;
    let newest_failed = rows
        .first()
        .is_some_and(|row| row.state == BuildState::Failed);
    Ok(if args.wait && newest_failed {
        outcome.with_code(ExitCode::Failed)
    } else {
        outcome
    })
}

async fn list(client: &Client, args: &BuildsArgs) -> Result<Vec<BuildRow>, Failure> {
    let filter = args
        .service
        .as_ref()
        .map_or_else(String::new, |service| format!("?service={service}"));
    client.get(&format!("/builds{filter}")).await
}

async fn until_ended(client: &Client, args: &BuildsArgs) -> Result<Vec<BuildRow>, Failure> {
    let deadline = Instant::now() + args.timeout;
    loop {
        // Read before the list: a change in between is then seen at once.
        let status: Status = client.get("/status").await?;
        let rows = list(client, args).await?;
        if rows.iter().all(|row| row.state.is_final()) {
            return Ok(rows);
        }
        if Instant::now() >= deadline {
            return Err(Failure::new(
                ExitCode::TimedOut,
                format!("not built after {:?}; the work goes on", args.timeout),
            )
            .hint("`foreshore builds` shows how far it is"));
        }
        let path = format!(
            "/status?after={}&timeout={LOOK_SECONDS}",
            path_segment(&status.version)
        );
        let _changed: Status = client.get(&path).await?;
    }
}

fn text(rows: &[BuildRow]) -> String {
    if rows.is_empty() {
        return "nothing was pushed yet\n".to_owned();
    }
    let rows = rows.iter().map(|row| {
        let what = match &row.artifact {
            Some(artifact) => artifact.to_string(),
            None => row.problem.clone(),
        };
        vec![
            row.id.clone(),
            row.service.to_string(),
            row.reference.trim_start_matches("refs/").to_owned(),
            row.commit.chars().take(10).collect(),
            row.pushed_by.clone(),
            row.at.to_string(),
            row.state.word().to_owned(),
            what,
        ]
    });
    table(
        &[
            "BUILD", "SERVICE", "SOURCE", "COMMIT", "BY", "AT", "STATE", "WHAT",
        ],
        rows,
    )
}
