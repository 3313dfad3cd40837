//! `foreshore promote`: release into an environment what its source environment runs.

use clap::Args;
use foreshore_model::EnvironmentName;
use foreshore_model::api::Selection;

use super::request::{self, RequestArgs, Wish};
use super::service_arg::ServiceArg;
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
    #[command(flatten)]
    service: ServiceArg,

    /// Environment to promote from, instead of the environment's own source
    #[arg(long, alias = "from-env", value_name = "NAME")]
    from: Option<EnvironmentName>,

    #[command(flatten)]
    request: RequestArgs,
}

pub(crate) async fn run(args: PromoteArgs, context: &Context) -> Result<Outcome, Failure> {
    let wish = Wish {
        service: args.service.resolve()?,
        selection: Selection::From(args.from),
        hold: false,
    };
    request::send(wish, &args.request, context).await
}
