//! What `release`, `promote` and `rollback` have in common: ask, answer, wait.

use std::time::Duration;

use clap::Args;
use foreshore_model::api::{ReleaseAnswer, ReleaseRequest, Selection};
use foreshore_model::{EnvironmentName, ExitCode, ReleaseFile, ServiceName};

use crate::client::Client;
use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::{Outcome, Terminal};
use crate::wait::{self, Awaited};

/// Options of every command that asks for a release.
#[derive(Debug, Args)]
pub(crate) struct RequestArgs {
    /// Environment to release into
    #[arg(short, long, env = "FORESHORE_ENVIRONMENT", value_name = "NAME")]
    pub(crate) env: EnvironmentName,

    /// Why, for the audit trail
    #[arg(short, long, default_value = "", value_name = "TEXT")]
    pub(crate) reason: String,

    /// Show the steps and stop
    #[arg(long)]
    dry_run: bool,

    /// Do not ask before committing
    #[arg(short, long)]
    yes: bool,

    /// Follow the release until it is healthy or has failed
    #[arg(long)]
    wait: bool,

    /// How long to follow it
    #[arg(long, default_value = "5m", value_parser = wait::duration, value_name = "DURATION")]
    timeout: Duration,

    /// Carry the request out once, however often it is sent with this key
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

/// What is asked for one service.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) service: ServiceName,
    pub(crate) selection: Selection,
    pub(crate) hold: bool,
}

/// Sends the request, says what became of it, and follows it if asked to.
pub(crate) async fn send(
    wish: Wish,
    args: &RequestArgs,
    context: &Context,
) -> Result<Outcome, Failure> {
    let client = context.client()?;
    let mut request = ReleaseRequest {
        service: wish.service,
        environment: args.env.clone(),
        selection: wish.selection,
        reason: args.reason.clone(),
        idempotency_key: args
            .idempotency_key
            .clone()
            .unwrap_or_else(|| ulid::Ulid::generate().to_string()),
        expected: None,
        hold: wish.hold,
        dry_run: true,
    };
    if args.dry_run || (Terminal::is_interactive() && !args.yes) {
        let answer: ReleaseAnswer = client.post("/releases", &request).await?;
        let steps = match &answer {
            ReleaseAnswer::Steps { steps } => steps.join("\n"),
            _ => describe(&answer),
        };
        if args.dry_run || !matches!(answer, ReleaseAnswer::Steps { .. }) {
            return Outcome::answer(&answer, steps);
        }
        context.terminal.say(&steps);
        if !context.terminal.confirm("Commit this?") {
            return Err(Failure::new(ExitCode::Interrupted, "nothing was changed"));
        }
    }
    request.dry_run = false;
    let answer: ReleaseAnswer = client.post("/releases", &request).await?;
    conclude(&client, answer, args.wait.then_some(args.timeout), context).await
}

/// Turns an answer into the command's outcome, following the release first if asked to.
pub(crate) async fn conclude(
    client: &Client,
    answer: ReleaseAnswer,
    wait: Option<Duration>,
    context: &Context,
) -> Result<Outcome, Failure> {
    let text = describe(&answer);
    match &answer {
        ReleaseAnswer::Requested { request, .. } => {
            context.terminal.say(&text);
            context.terminal.say(&format!(
                "next: another allowed person types `foreshore approve {}`",
                request.id
            ));
            Ok(Outcome::answer(&answer, format!("{}\n", request.id))?.with_code(ExitCode::Refused))
        }
        ReleaseAnswer::Committed { release, .. } | ReleaseAnswer::Unchanged { release } => {
            let Some(timeout) = wait else {
                return Outcome::answer(&answer, text);
            };
            context.terminal.say(&text);
            follow(client, release, timeout, context).await
        }
        ReleaseAnswer::Steps { .. } => Outcome::answer(&answer, text),
    }
}

pub(crate) async fn follow(
    client: &Client,
    release: &ReleaseFile,
    timeout: Duration,
    context: &Context,
) -> Result<Outcome, Failure> {
    let awaited = Awaited {
        service: release.service.clone(),
        environment: release.environment.clone(),
        sequence: Some(release.sequence),
    };
    wait::until_settled(client, &[awaited], timeout, context).await
}

fn describe(answer: &ReleaseAnswer) -> String {
    match answer {
        ReleaseAnswer::Committed { commit, release } => format!(
            "released {} to {} as number {} ({})",
            release.artifact_id,
            release.environment,
            release.sequence,
            &commit[..commit.len().min(10)]
        ),
        ReleaseAnswer::Unchanged { release } => {
            format!(
                "{} runs {} already (number {})",
                release.environment, release.artifact_id, release.sequence
            )
        }
        ReleaseAnswer::Requested { request, needed } => format!(
            "{} to {} waits for {needed} approval{} as request {}",
            request.artifact_id,
            request.environment,
            if *needed == 1 { "" } else { "s" },
            request.id
        ),
        ReleaseAnswer::Steps { steps } => steps.join("\n"),
    }
}
