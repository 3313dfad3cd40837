//! What `release`, `promote` and `rollback` have in common: ask, answer, wait.

use std::time::Duration;

use clap::Args;
use foreshore_model::api::{ReleaseAnswer, ReleaseRequest, Selection, Status};
use foreshore_model::{Digest, EnvironmentName, ExitCode, ReleaseFile, ServiceName};

use crate::client::Client;
use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::{Outcome, Terminal};
use crate::wait::{self, Awaited};

/// Options of every command that asks for a release.
#[derive(Debug, Args)]
pub(crate) struct RequestArgs {
    /// Environment to release into (several with commas)
    #[arg(
        short,
        long,
        env = "FORESHORE_ENVIRONMENT",
        value_name = "NAME",
        value_delimiter = ',',
        required = true
    )]
    pub(crate) env: Vec<EnvironmentName>,

    /// Accepted for old habits; the environment says which namespace it is
    #[arg(short, long, value_name = "NAME", hide = true)]
    namespace: Option<String>,

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

/// Sends one request for each environment, says what became of each, and follows them if asked to.
pub(crate) async fn send(
    wish: Wish,
    args: &RequestArgs,
    context: &Context,
) -> Result<Outcome, Failure> {
    let client = context.client()?;
    if let Some(namespace) = &args.namespace {
        context.terminal.warn(&format!(
            "--namespace {namespace} changes nothing: the environment says which namespace it is"
        ));
    }
    if let [environment] = args.env.as_slice() {
        return match ask(&client, &wish, environment, args, context).await? {
            Asked::Answered(outcome) => Ok(outcome),
            Asked::Committed(answer) => {
                conclude(&client, *answer, args.wait.then_some(args.timeout), context).await
            }
        };
    }
    send_to_all(&client, &wish, args, context).await
}

/// Asks for one environment after the other; the first that is refused ends it.
async fn send_to_all(
    client: &Client,
    wish: &Wish,
    args: &RequestArgs,
    context: &Context,
) -> Result<Outcome, Failure> {
    let mut answers = Vec::new();
    let mut awaited = Vec::new();
    for environment in &args.env {
        let asked = ask(client, wish, environment, args, context).await;
        let answer = match asked {
            Ok(Asked::Committed(answer)) => *answer,
            Ok(Asked::Answered(_)) => continue,
            Err(failure) => {
                let done: Vec<String> = answers.iter().map(describe).collect();
                return Err(match done.as_slice() {
                    [] => failure,
                    _ => failure.hint(format!("done before that: {}", done.join("; "))),
                });
            }
        };
        if let ReleaseAnswer::Committed { release, .. } | ReleaseAnswer::Unchanged { release } =
            &answer
        {
            awaited.push(Awaited {
                service: release.service.clone(),
                environment: release.environment.clone(),
                sequence: Some(release.sequence),
            });
        }
        answers.push(answer);
    }
    let text: Vec<String> = answers.iter().map(describe).collect();
    let waits = answers
        .iter()
        .any(|answer| matches!(answer, ReleaseAnswer::Requested { .. }));
    if args.wait && !awaited.is_empty() {
        context.terminal.say(&text.join("\n"));
        wait::until_settled(client, &awaited, args.timeout, context).await?;
    }
    let mut outcome = Outcome::answer(&answers, text.join("\n"))?;
    if args.wait && context.terminal.tells_json() {
        outcome = outcome.in_one_line();
    }
    Ok(if waits {
        outcome.with_code(ExitCode::Refused)
    } else {
        outcome
    })
}

/// How far asking for one environment went.
enum Asked {
    /// A dry run, or nothing to do: this is all there is to say.
    Answered(Outcome),
    Committed(Box<ReleaseAnswer>),
}

async fn ask(
    client: &Client,
    wish: &Wish,
    environment: &EnvironmentName,
    args: &RequestArgs,
    context: &Context,
) -> Result<Asked, Failure> {
    let key = args.idempotency_key.as_ref().map_or_else(
        || ulid::Ulid::generate().to_string(),
        |key| {
            if args.env.len() > 1 {
                format!("{key}/{environment}")
            } else {
                key.clone()
            }
        },
    );
    let mut request = ReleaseRequest {
        service: wish.service.clone(),
        environment: environment.clone(),
        selection: wish.selection.clone(),
        reason: args.reason.clone(),
        idempotency_key: key,
        expected: runs_now(client, &wish.service, environment).await?,
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
            return Ok(Asked::Answered(Outcome::answer(&answer, steps)?));
        }
        context.terminal.say(&steps);
        if !context.terminal.confirm("Commit this?") {
            return Err(Failure::new(ExitCode::Interrupted, "nothing was changed"));
        }
    }
    request.dry_run = false;
    let answer: ReleaseAnswer = client.post("/releases", &request).await?;
    Ok(Asked::Committed(Box::new(answer)))
}

/// What the environment holds as the person sees it: whoever moves first in between is named.
async fn runs_now(
    client: &Client,
    service: &ServiceName,
    environment: &EnvironmentName,
) -> Result<Option<Digest>, Failure> {
    let status: Status = client.get("/status").await?;
    let row = status
        .services
        .into_iter()
        .find(|row| row.service == *service && row.environment == *environment);
    Ok(row.map(|row| row.release.artifact))
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
