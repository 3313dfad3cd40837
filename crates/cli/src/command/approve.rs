//! `foreshore approve`: agree to a release that somebody else asked for.

use std::time::Duration;

use clap::Args;
use foreshore_model::api::{ApproveRequest, ReleaseAnswer};

use super::request;
use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::Outcome;
use crate::wait;

/// Approve a release that waits for it
#[derive(Debug, Args)]
pub(crate) struct ApproveArgs {
    /// Request to approve, as `promote` and `status` name it
    request: String,

    /// Why, for the audit trail
    #[arg(short, long, default_value = "", value_name = "TEXT")]
    reason: String,

    /// Follow the release until it is healthy or has failed
    #[arg(long)]
    wait: bool,

    /// How long to follow it
    #[arg(long, default_value = "5m", value_parser = wait::duration, value_name = "DURATION")]
    timeout: Duration,
}

pub(crate) async fn run(args: ApproveArgs, context: &Context) -> Result<Outcome, Failure> {
    let client = context.client()?;
    let path = format!("/requests/{}/approve", wait::path_segment(&args.request));
    let answer: ReleaseAnswer = client
        .post(
            &path,
            &ApproveRequest {
                reason: args.reason,
            },
        )
        .await?;
    request::conclude(&client, answer, args.wait.then_some(args.timeout), context).await
}
