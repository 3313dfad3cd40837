//! `foreshore hold`: keep automation away from a service in an environment.

use clap::Args;
use foreshore_model::api::HoldRequest;
use foreshore_model::{EnvironmentName, Hold, ServiceName};

use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::Outcome;

/// Hold a service where it is, or lift a hold
///
/// A hold pauses automatic releases; people can still release.
#[derive(Debug, Args)]
pub(crate) struct HoldArgs {
    /// Service to hold
    service: ServiceName,

    /// Environment to hold it in
    #[arg(short, long, env = "FORESHORE_ENVIRONMENT", value_name = "NAME")]
    env: EnvironmentName,

    /// Why, for the audit trail
    #[arg(short, long, value_name = "TEXT", required_unless_present = "lift")]
    reason: Option<String>,

    /// Lift the hold
    #[arg(long)]
    lift: bool,
}

pub(crate) async fn run(args: HoldArgs, context: &Context) -> Result<Outcome, Failure> {
    let client = context.client()?;
    let path = format!("/holds/{}/{}", args.env, args.service);
    if args.lift {
        let lifted: Option<Hold> = client.delete(&path).await?;
        let text = match &lifted {
            Some(hold) => format!(
                "lifted the hold of {} in {} that {} had set",
                args.service, args.env, hold.actor.name
            ),
            None => format!("{} was not held in {}", args.service, args.env),
        };
        return Outcome::answer(&lifted, text);
    }
    let hold: Hold = client
        .put(
            &path,
            &HoldRequest {
                reason: args.reason.unwrap_or_default(),
            },
        )
        .await?;
    Outcome::answer(
        &hold,
        format!("{} is held in {}: {}", args.service, args.env, hold.reason),
    )
}
