//! `foreshore rollback`: bring back an earlier artifact and pin it.

use clap::Args;
use foreshore_model::api::Selection;
use foreshore_model::{ArtifactId, ServiceName};

use super::request::{self, RequestArgs, Wish};
use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::Outcome;

/// Roll a service back to an earlier artifact
///
/// Takes the last artifact that was healthy there before the present one, and
/// sets a hold so that automation does not undo it.
#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// Service to roll back
    service: ServiceName,

    /// Artifact to go back to, instead of the last one that was healthy
    #[arg(long, value_name = "ID")]
    artifact: Option<ArtifactId>,

    #[command(flatten)]
    request: RequestArgs,
}

pub(crate) async fn run(args: RollbackArgs, context: &Context) -> Result<Outcome, Failure> {
    let selection = args.artifact.map_or(Selection::LastVerified, Selection::Id);
    request::send(
        Wish {
            service: args.service,
            selection,
            hold: true,
        },
        &args.request,
        context,
    )
    .await
}
