//! `foreshore approve`: agree to a release that somebody else asked for.

use std::time::Duration;

use clap::Args;
use foreshore_model::api::{ApproveRequest, ReleaseAnswer, RequestDetail};

use super::explain::{difference_text, explanation_text};
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

    /// Show what the request would change, and every condition, and stop
    #[arg(long, conflicts_with = "wait")]
    show: bool,

    /// Follow the release until it is healthy or has failed
    #[arg(long)]
    wait: bool,

    /// How long to follow it
    #[arg(long, default_value = "5m", value_parser = wait::duration, value_name = "DURATION")]
    timeout: Duration,
}

pub(crate) async fn run(args: ApproveArgs, context: &Context) -> Result<Outcome, Failure> {
    let client = context.client()?;
    if args.show {
        let path = format!("/requests/{}", wait::path_segment(&args.request));
        let detail: RequestDetail = client.get(&path).await?;
        return Outcome::answer(&detail, detail_text(&detail));
    }
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

/// Says everything that a person needs to agree or not.
fn detail_text(detail: &RequestDetail) -> String {
    let request = &detail.request;
    let mut lines = vec![
        format!(
            "{}: {} to {}, asked by {} at {}",
            request.id,
            request.artifact_id,
            request.environment,
            request.requested_by.name,
            request.at
        ),
        difference_text(&detail.difference).trim_end().to_owned(),
    ];
    for preview in &detail.previews {
        lines.push(format!("dry run in {}:", preview.site));
        lines.extend(preview.objects.iter().map(|object| {
            let details = object.details.join(", ");
            format!("  {:<10} {} {details}", object.effect, object.object)
        }));
    }
    if detail.previews.is_empty() {
        lines.push("no cluster has tried it yet".to_owned());
    }
    lines.push(explanation_text(&detail.explanation));
    lines.join("\n")
}
