//! `foreshore agent`: the reconciler of one cluster, by itself.

use std::path::PathBuf;

use clap::Args;
use foreshore_git::Signer;
use foreshore_model::{EnvironmentName, SiteName};
use foreshore_server::roles;
use tokio_util::sync::CancellationToken;

use super::roles::stopped_by_signal;
use super::supply_args::SupplyArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::Outcome;

/// Bring a cluster to what the config repository says
///
/// Pulls the config repository with a credential that can only read, applies
/// what changed, waits for health, and reports to the server.
#[derive(Debug, Args)]
pub(crate) struct AgentArgs {
    /// Kubeconfig of the cluster
    #[arg(long, value_name = "FILE", required_unless_present = "in_cluster")]
    kubeconfig: Option<PathBuf>,

    /// Work on the cluster that this process runs in, as its pod's account
    #[arg(long, conflicts_with_all = ["kubeconfig", "context"])]
    in_cluster: bool,

    /// Context of the kubeconfig, instead of its current one
    #[arg(long, value_name = "NAME")]
    context: Option<String>,

    /// Address of the config repository, instead of the server's own
    #[arg(long, value_name = "URL")]
    config_repo: Option<String>,

    /// Environment to carry out (can be repeated)
    #[arg(
        long = "environment",
        env = "FORESHORE_ENVIRONMENT",
        required = true,
        value_name = "NAME"
    )]
    environments: Vec<EnvironmentName>,

    /// Network in which services of the cluster answer, to check releases from: a pinned network namespace, or `host`
    #[arg(long, value_name = "FILE", conflicts_with = "in_cluster")]
    cluster_network: Option<PathBuf>,

    /// Key that opens sealed secrets (age), instead of the one in the data directory
    #[arg(long, value_name = "FILE")]
    secret_key: Option<PathBuf>,

    #[command(flatten)]
    supply: SupplyArgs,

    /// Key that signs commits of the config repository, as the server names it (can be repeated); commits of others are not taken
    #[arg(long = "trusted-signer", value_name = "KEY")]
    signers: Vec<Signer>,

    /// Which cluster of its environments this is
    #[arg(long, default_value = "local", value_name = "NAME")]
    site: SiteName,
}

pub(crate) async fn run(args: AgentArgs, context: &Context) -> Result<Outcome, Failure> {
    let shutdown = CancellationToken::new();
    let signals = tokio::spawn(stopped_by_signal(shutdown.clone()));
    let credential = context.credential()?;
    let options = roles::AgentOptions {
        data: context.data()?,
        kubeconfig: args.kubeconfig,
        context: args.context,
        in_cluster: args.in_cluster,
        config_repository: args
            .config_repo
            .unwrap_or_else(|| format!("{}/git/config.git", credential.server)),
        server: credential.server,
        token: credential.token,
        environments: args.environments,
        site: args.site,
        checks: match &args.cluster_network {
            _ if args.in_cluster => roles::CheckPlace::Here,
            Some(network) => roles::CheckPlace::named(network),
            None => roles::CheckPlace::outside(),
        },
        secret_key: args.secret_key,
        supply: args.supply.into(),
        signers: args.signers,
    };
    let ended = roles::agent(options, shutdown).await;
    signals.abort();
    ended.map_err(|error| Failure::from_error(error.exit_code(), &error))?;
    Ok(Outcome::done())
}
