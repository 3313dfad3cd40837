//! `foreshore node`: runs pods for any Kubernetes API.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use foreshore_engine_node::Capacity;
use foreshore_server::roles;
use tokio_util::sync::CancellationToken;

use super::roles::{RuntimeArg, stopped_by_signal};
use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::Outcome;

/// Run pods on this machine for a Kubernetes API
///
/// Registers a node with the API of the kubeconfig, embedded or real, runs its
/// pods, and gives services their addresses and names.
#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// Kubeconfig of the API to serve
    #[arg(long, value_name = "FILE")]
    kubeconfig: PathBuf,

    /// How pods are run, instead of the best this machine can do
    #[arg(long, value_enum)]
    runtime: Option<RuntimeArg>,

    /// Name of the node
    #[arg(long, default_value = "local", value_name = "NAME")]
    name: String,

    /// Which of the machine's nodes this is; gives it addresses of its own
    #[arg(long, default_value_t = 1, value_name = "N")]
    index: u8,

    /// Network namespace of the ground, instead of one of its own
    #[arg(long, value_name = "FILE")]
    ground: Option<PathBuf>,

    /// Loopback address where users reach services by host name
    #[arg(long, value_name = "ADDRESS")]
    ingress: Option<SocketAddr>,

    /// Virtual nodes to run; only with `--runtime simulated`
    #[arg(long, default_value_t = 1, value_name = "N")]
    simulated_nodes: u8,

    /// Label of the node, such as `topology.kubernetes.io/zone=a` (can be repeated)
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,

    /// The node's share of this machine, such as `cpu=2,memory=4Gi,pods=20`;
    /// what is not named is all there is
    #[arg(long, value_name = "SHARE", value_parser = Capacity::parse)]
    capacity: Option<Capacity>,
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a label is `NAME=VALUE`".to_owned()),
    }
}

pub(crate) async fn run(args: NodeArgs, context: &Context) -> Result<Outcome, Failure> {
    let shutdown = CancellationToken::new();
    let signals = tokio::spawn(stopped_by_signal(shutdown.clone()));
    let program = std::env::current_exe().map_err(|error| {
        Failure::new(
            foreshore_model::ExitCode::Failed,
            format!("cannot find this program: {error}"),
        )
    })?;
    let options = roles::NodeOptions {
        data: context.data()?,
        kubeconfig: args.kubeconfig,
        runtime: args.runtime.map(RuntimeArg::kind),
        name: args.name,
        index: args.index,
        ground: args.ground,
        ingress: args.ingress,
        simulated_nodes: args.simulated_nodes,
        labels: args.labels.into_iter().collect(),
        capacity: args.capacity,
        program,
    };
    let terminal = context.terminal.clone();
    let ended = roles::node(options, shutdown, |line| terminal.say(line)).await;
    signals.abort();
    ended.map_err(|error| Failure::from_error(error.exit_code(), &error))?;
    Ok(Outcome::done())
}
