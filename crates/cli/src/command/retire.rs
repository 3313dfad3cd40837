//! `foreshore retire` and `foreshore confirm`: the end of a service, and consent to take objects away.

use clap::Args;
use foreshore_model::api::{ChangeAnswer, RemovalsRequest, RetireAnswer, RetireRequest};
use foreshore_model::{EnvironmentName, ExitCode};

use super::service_arg::ServiceArg;
use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::{Outcome, Terminal};

/// End a service in an environment
///
/// Commits a tombstone; the agent then removes everything the service has
/// there. What keeps data goes only if it is named with --confirm.
#[derive(Debug, Args)]
pub(crate) struct RetireArgs {
    #[command(flatten)]
    service: ServiceArg,

    /// Environment to end it in
    #[arg(short, long, env = "FORESHORE_ENVIRONMENT", value_name = "NAME")]
    env: EnvironmentName,

    /// Why, for the audit trail
    #[arg(short, long, value_name = "TEXT")]
    reason: String,

    /// Object that keeps data and goes all the same: PersistentVolumeClaim/data (can be repeated)
    #[arg(long, value_name = "KIND/NAME")]
    confirm: Vec<String>,

    /// Show what would be removed and stop
    #[arg(long)]
    dry_run: bool,

    /// Do not ask before committing
    #[arg(short, long)]
    yes: bool,
}

pub(crate) async fn run(args: RetireArgs, context: &Context) -> Result<Outcome, Failure> {
    let service = args.service.resolve()?;
    let client = context.client()?;
    let path = format!("/retire/{}/{service}", args.env);
    let mut request = RetireRequest {
        reason: args.reason,
        idempotency_key: ulid::Ulid::generate().to_string(),
        confirmed: args.confirm,
        dry_run: true,
    };
    let planned: RetireAnswer = client.post(&path, &request).await?;
    let consequence = format!(
        "retiring {service} in {} removes: {}",
        args.env,
        planned.objects.join(", ")
    );
    if args.dry_run {
        return Outcome::answer(&planned, consequence);
    }
    context.terminal.say(&consequence);
    if !args.yes {
        if !Terminal::is_interactive() {
            return Err(Failure::usage("retiring a service is not undone by itself")
                .hint("say that you mean it with --yes"));
        }
        if !context.terminal.confirm("Remove all of it?") {
            return Err(Failure::new(ExitCode::Interrupted, "nothing was changed"));
        }
    }
    request.dry_run = false;
    let answer: RetireAnswer = client.post(&path, &request).await?;
    let text = format!(
        "{service} is retired in {} after number {}",
        args.env, answer.tombstone.sequence
    );
    Outcome::answer(&answer, text)
}

/// Let the present release take objects away that keep something, or many
#[derive(Debug, Args)]
pub(crate) struct ConfirmArgs {
    /// Service whose release waits
    service: foreshore_model::ServiceName,

    /// Object that may go: PersistentVolumeClaim/data; `*` for any number of ordinary ones
    #[arg(required = true, value_name = "KIND/NAME")]
    objects: Vec<String>,

    /// Environment
    #[arg(short, long, env = "FORESHORE_ENVIRONMENT", value_name = "NAME")]
    env: EnvironmentName,

    /// Why, for the audit trail
    #[arg(short, long, value_name = "TEXT")]
    reason: String,
}

pub(crate) async fn confirm(args: ConfirmArgs, context: &Context) -> Result<Outcome, Failure> {
    let request = RemovalsRequest {
        objects: args.objects,
        reason: args.reason,
        idempotency_key: ulid::Ulid::generate().to_string(),
    };
    let path = format!("/removals/{}/{}", args.env, args.service);
    let answer: ChangeAnswer = context.client()?.post(&path, &request).await?;
    Outcome::answer(&answer, answer.subject.clone())
}
