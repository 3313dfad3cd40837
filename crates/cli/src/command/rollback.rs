//! `foreshore rollback`: bring back an earlier artifact and pin it.

use clap::Args;
use foreshore_model::ArtifactId;
use foreshore_model::api::Selection;

use super::request::{self, RequestArgs, Wish};
use super::service_arg::ServiceArg;
use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::Outcome;

/// Roll a service back to an earlier artifact
///
/// Takes the last artifact that was healthy there before the present one, and
/// sets a hold so that automation does not undo it.
#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    #[command(flatten)]
    service: ServiceArg,

    /// Artifact to go back to, instead of the last one that was healthy
    #[arg(long, value_name = "ID")]
    artifact: Option<ArtifactId>,

    /// Accepted for old habits: how many releases back an artifact was looked for
    #[arg(long, value_name = "COUNT", hide = true)]
    length: Option<usize>,

    #[command(flatten)]
    request: RequestArgs,
}

pub(crate) async fn run(args: RollbackArgs, context: &Context) -> Result<Outcome, Failure> {
    if args.length.is_some() {
        context
            .terminal
            .warn("--length changes nothing: every earlier artifact can be named");
    }
    let selection = args.artifact.map_or(Selection::LastVerified, Selection::Id);
    request::send(
        Wish {
            service: args.service.resolve()?,
            selection,
            hold: true,
        },
        &args.request,
        context,
    )
    .await
}
