//! `foreshore wait`: follow a release that somebody else has made.

use std::time::Duration;

use clap::Args;
use foreshore_model::EnvironmentName;

use super::service_arg::ServiceArg;
use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::Outcome;
use crate::wait::{self, Awaited};

/// Wait until a release is healthy or has failed
///
/// Ends with 0 when it is healthy, 1 when it failed, 5 when another release
/// took its place, and 8 when the time is over while the work goes on.
#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    #[command(flatten)]
    service: ServiceArg,

    /// Environment
    #[arg(short, long, env = "FORESHORE_ENVIRONMENT", value_name = "NAME")]
    env: EnvironmentName,

    /// Number of the release, instead of the newest one
    #[arg(long, value_name = "NUMBER")]
    number: Option<u64>,

    /// How long to wait
    #[arg(long, default_value = "5m", value_parser = wait::duration, value_name = "DURATION")]
    timeout: Duration,
}

pub(crate) async fn run(args: WaitArgs, context: &Context) -> Result<Outcome, Failure> {
    let awaited = Awaited {
        service: args.service.resolve()?,
        environment: args.env,
        sequence: args.number,
    };
    let client = context.client()?;
    wait::exists(&client, &awaited).await?;
    wait::until_settled(&client, &[awaited], args.timeout, context).await
}
