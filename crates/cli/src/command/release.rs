//! `foreshore release`: put a named artifact, or the newest of a branch, into an environment.

use clap::Args;
use foreshore_model::ArtifactId;
use foreshore_model::api::Selection;

use super::request::{self, RequestArgs, Wish};
use super::service_arg::ServiceArg;
use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::Outcome;

/// Release an artifact into an environment
///
/// Names the artifact by its id, or takes the newest of a branch.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("which").required(true).args(["artifact", "branch", "current_branch"])))]
pub(crate) struct ReleaseArgs {
    #[command(flatten)]
    service: ServiceArg,

    /// Artifact to release
    #[arg(long, value_name = "ID")]
    artifact: Option<ArtifactId>,

    /// Take the newest artifact of this branch
    #[arg(short, long, value_name = "NAME")]
    branch: Option<String>,

    /// Take the newest artifact of the branch that is checked out here
    #[arg(short, long)]
    current_branch: bool,

    #[command(flatten)]
    request: RequestArgs,
}

pub(crate) async fn run(args: ReleaseArgs, context: &Context) -> Result<Outcome, Failure> {
    let selection = match (args.artifact, args.branch) {
        (Some(id), _) => Selection::Id(id),
        (None, Some(branch)) => Selection::Branch(branch),
        (None, None) if args.current_branch => Selection::Branch(current_branch()?),
        (None, None) => {
            return Err(
                Failure::usage("name an artifact").hint("give --artifact ID or --branch NAME")
            );
        }
    };
    request::send(
        Wish {
            service: args.service.resolve()?,
            selection,
            hold: false,
        },
        &args.request,
        context,
    )
    .await
}

/// Returns the branch that is checked out in this directory.
fn current_branch() -> Result<String, Failure> {
    let facts = foreshore_git::SourceFacts::of(std::path::Path::new("."))
        .map_err(|error| Failure::from_error(foreshore_model::ExitCode::Usage, &error))?;
    facts.branch.ok_or_else(|| {
        Failure::usage("no branch is checked out here").hint("name one with --branch NAME")
    })
}
