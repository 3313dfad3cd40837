//! `foreshore release`: put a named artifact, or the newest of a branch, into an environment.

use clap::Args;
use foreshore_model::api::Selection;
use foreshore_model::{ArtifactId, ServiceName};

use super::request::{self, RequestArgs, Wish};
use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::Outcome;

/// Release an artifact into an environment
///
/// Names the artifact by its id, or takes the newest of a branch.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("which").required(true).args(["artifact", "branch"])))]
pub(crate) struct ReleaseArgs {
    /// Service to release
    service: ServiceName,

    /// Artifact to release
    #[arg(long, value_name = "ID")]
    artifact: Option<ArtifactId>,

    /// Take the newest artifact of this branch
    #[arg(short, long, value_name = "NAME")]
    branch: Option<String>,

    #[command(flatten)]
    request: RequestArgs,
}

pub(crate) async fn run(args: ReleaseArgs, context: &Context) -> Result<Outcome, Failure> {
    let selection = match (args.artifact, args.branch) {
        (Some(id), _) => Selection::Id(id),
        (None, Some(branch)) => Selection::Branch(branch),
        (None, None) => {
            return Err(
                Failure::usage("name an artifact").hint("give --artifact ID or --branch NAME")
            );
        }
    };
    request::send(
        Wish {
            service: args.service,
            selection,
            hold: false,
        },
        &args.request,
        context,
    )
    .await
}
