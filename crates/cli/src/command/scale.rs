//! `foreshore scale`: replicas, bounds, floors and pause, without a build.

use clap::Args;
use foreshore_model::api::{OperationsAnswer, OperationsChange, OperationsRequest, Status};
use foreshore_model::{EnvironmentName, ServiceName};
use jiff::{SignedDuration, Timestamp};

use super::service_arg::ServiceArg;
use crate::client::Client;
use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::Outcome;
use crate::wait;

/// Change replicas, bounds or floors of a service, or pause it
///
/// Commits operations.yaml beside the release; the agent carries it out
/// through the scale subresource or the autoscaler. No build, no new release.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own on the command line"
)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["replicas", "by", "min", "floor", "no_floor", "pause", "resume"])))]
pub(crate) struct ScaleArgs {
    #[command(flatten)]
    service: ServiceArg,

    /// Environment
    #[arg(short, long, env = "FORESHORE_ENVIRONMENT", value_name = "NAME")]
    env: EnvironmentName,

    /// Workload, where the service has several
    #[arg(long, value_name = "NAME")]
    workload: Option<String>,

    /// So many replicas
    #[arg(long, value_name = "COUNT")]
    replicas: Option<u32>,

    /// So many more, or fewer with a minus sign
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    by: Option<i32>,

    /// The least an autoscaler may choose
    #[arg(long, value_name = "COUNT", requires = "max")]
    min: Option<u32>,

    /// The most an autoscaler may choose
    #[arg(long, value_name = "COUNT", requires = "min")]
    max: Option<u32>,

    /// So many replicas at least, until --until
    #[arg(long, value_name = "COUNT", requires = "until")]
    floor: Option<u32>,

    /// When the floor begins; without it, now
    #[arg(long, value_name = "TIME", requires = "floor", value_parser = moment)]
    from: Option<Timestamp>,

    /// When the floor ends: 2026-11-20T22:00:00+01:00, or a time from now like 2h
    #[arg(long, value_name = "TIME", requires = "floor", value_parser = moment)]
    until: Option<Timestamp>,

    /// Take the floors away
    #[arg(long)]
    no_floor: bool,

    /// Leave everything as it is until --resume
    #[arg(long)]
    pause: bool,

    /// End a pause
    #[arg(long)]
    resume: bool,

    /// Why, for the audit trail
    #[arg(short, long, default_value = "", value_name = "TEXT")]
    reason: String,

    /// Show what would change and stop
    #[arg(long)]
    dry_run: bool,

    /// Wait until the agent has carried it out
    #[arg(long)]
    wait: bool,

    /// How long to wait
    #[arg(long, default_value = "5m", value_parser = wait::duration, value_name = "DURATION")]
    timeout: std::time::Duration,
}

/// Reads a moment, or a time from now.
fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let from_now: SignedDuration = text.parse().map_err(|_| {
        "write it as 2026-11-20T22:00:00+01:00, or as a time from now like 2h".to_owned()
    })?;
    foreshore_model::clock::now()
        .checked_add(from_now)
        .map_err(|error| error.to_string())
}

fn change(args: &ScaleArgs) -> Result<OperationsChange, Failure> {
    let workload = args.workload.clone();
    Ok(match args {
        ScaleArgs {
            replicas: Some(replicas),
            ..
        } => OperationsChange::Replicas {
            workload,
            replicas: *replicas,
        },
        ScaleArgs { by: Some(by), .. } => OperationsChange::Step { workload, by: *by },
        ScaleArgs {
            min: Some(min),
            max: Some(max),
            ..
        } => OperationsChange::Bounds {
            workload,
            min: *min,
            max: *max,
        },
        ScaleArgs {
            floor: Some(replicas),
            until: Some(until),
            ..
        } => OperationsChange::Floor {
            workload,
            replicas: *replicas,
            from: args.from,
            until: *until,
        },
        ScaleArgs { no_floor: true, .. } => OperationsChange::NoFloor { workload },
        ScaleArgs { pause: true, .. } => OperationsChange::Pause,
        ScaleArgs { resume: true, .. } => OperationsChange::Resume,
        _ => return Err(Failure::usage("nothing to change").hint("see `foreshore scale --help`")),
    })
}

pub(crate) async fn run(args: ScaleArgs, context: &Context) -> Result<Outcome, Failure> {
    let change = change(&args)?;
    let service = args.service.resolve()?;
    let client = context.client()?;
    let request = OperationsRequest {
        change,
        reason: args.reason,
        idempotency_key: ulid::Ulid::generate().to_string(),
        expected: None,
        dry_run: args.dry_run,
    };
    let path = format!("/operations/{}/{service}", args.env);
    let answer: OperationsAnswer = client.post(&path, &request).await?;
    if answer.words.is_empty() {
        let text = format!("{service} in {} is so already", args.env);
        return Outcome::answer(&answer, text);
    }
    let words = answer.words.join("\n");
    if args.wait && answer.commit.is_some() {
        context.terminal.say(&words);
        carried_out(&client, &service, &args.env, args.timeout).await?;
    }
    Outcome::answer(&answer, words)
}

/// Waits until every site has carried the present operations out.
async fn carried_out(
    client: &Client,
    service: &ServiceName,
    environment: &EnvironmentName,
    timeout: std::time::Duration,
) -> Result<(), Failure> {
    wait::for_status(client, timeout, |status: &Status| {
        let row = status
            .services
            .iter()
            .find(|row| row.service == *service && row.environment == *environment);
        row.is_some_and(|row| !row.is_operation_pending())
    })
    .await
}
