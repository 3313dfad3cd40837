//! `foreshore install`: what an agent needs in a real cluster, with the least rights.

use clap::Args;
use foreshore_model::{EnvironmentName, ExitCode, SiteName};
use foreshore_server::install::{Installation, manifests, objects};

use super::supply_args::SupplyArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::Outcome;

/// Print what an agent needs to live in a cluster
///
/// Apply it with kubectl or from a repository of your own. Each right is
/// listed with what breaks without it.
#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    /// Print the manifests; nothing is changed
    #[arg(long, required = true)]
    print: bool,

    /// Image with this program
    #[arg(long, value_name = "IMAGE")]
    image: String,

    /// Address of the server, as the cluster reaches it
    #[arg(long = "server-url", value_name = "URL")]
    server: String,

    /// Environment that the agent carries out (can be repeated)
    #[arg(
        long = "environment",
        env = "FORESHORE_ENVIRONMENT",
        required = true,
        value_name = "NAME"
    )]
    environments: Vec<EnvironmentName>,

    /// Which cluster of its environments it is
    #[arg(long, default_value = "local", value_name = "NAME")]
    site: SiteName,

    /// Account that environments name as `service_account`; the agent may act as it (can be repeated)
    #[arg(long = "acts-as", value_name = "ACCOUNT")]
    acts_as: Vec<String>,

    /// Agents that run at once: one works, the others stand by
    #[arg(long, default_value_t = 1, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=5))]
    replicas: u32,

    #[command(flatten)]
    supply: SupplyArgs,
}

pub(crate) fn run(args: InstallArgs, context: &Context) -> Result<Outcome, Failure> {
    let installation = Installation {
        image: args.image,
        server: args.server,
        environments: args.environments,
        site: args.site,
        acts_as: args.acts_as,
        replicas: args.replicas,
        supply: args.supply.words(),
    };
    let text =
        manifests(&installation).map_err(|error| Failure::from_error(ExitCode::Bug, &error))?;
    context
        .terminal
        .say("next: make the secret as the first lines say, then `kubectl apply -f -`");
    Outcome::answer(&objects(&installation), text)
}
