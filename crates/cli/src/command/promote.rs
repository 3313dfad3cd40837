//! `foreshore promote`: release into an environment what its source environment runs.

use clap::Args;
use foreshore_model::api::Selection;
use foreshore_model::{EnvironmentName, ServiceName};

use super::request::{self, RequestArgs, Wish};
use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::Outcome;

/// Promote a service to the next environment
///
/// Releases the bytes that run in the source environment. Prints the steps and
/// asks before it commits. `--dry-run` stops after that; `--yes` skips the
/// question.
#[derive(Debug, Args)]
pub(crate) struct PromoteArgs {
    /// Service to promote
    service: ServiceName,

    /// Environment to promote from, instead of the environment's own source
    #[arg(long, value_name = "NAME")]
    from: Option<EnvironmentName>,

    #[command(flatten)]
    request: RequestArgs,
}

pub(crate) async fn run(args: PromoteArgs, context: &Context) -> Result<Outcome, Failure> {
    let wish = Wish {
        service: args.service,
        selection: Selection::From(args.from),
        hold: false,
    };
    request::send(wish, &args.request, context).await
}
