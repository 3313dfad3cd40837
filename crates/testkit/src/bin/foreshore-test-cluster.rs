//! A cluster for a person to play with, or for a run of tests to share.
//!
//! `cargo xtask cluster` starts it. It prints the line to paste into a shell
//! and runs until it is told to stop.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};
use foreshore_sys::Ground;
use foreshore_testkit::{
    cluster::{Cluster, Components, Kind, NodeOptions, Options, Runtime},
    environment,
};
use tokio::signal::unix::{SignalKind, signal};

/// Run a cluster in the foreground until SIGTERM or Ctrl-C
#[derive(Debug, Parser)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
struct Arguments {
    /// Which Kubernetes API to run
    ground: Which,

    /// Pretend to run pods on this many nodes
    #[arg(long, value_name = "N", default_value_t = 0)]
    simulated_nodes: u8,

    /// Add a node that is the real kubelet with containerd; only on `real`, as root
    #[arg(long)]
    kubelet: bool,

    /// Keep data in this folder instead of a temporary one
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Start the API alone: no controllers, no scheduler; the engine always has all
    #[arg(long)]
    api_only: bool,

    /// Let etcd wait for the disk, as the engine always does
    #[arg(long)]
    fsync: bool,

    /// Also print the network namespace the API lives in, and a kubeconfig for use inside
    #[arg(long)]
    inside: bool,

    /// End when standard input does, and so with whoever holds its other end
    #[arg(long)]
    until_stdin_closes: bool,

    /// Verbosity of the logs of the real control plane
    #[arg(long, value_name = "LEVEL", default_value_t = 0)]
    verbosity: u8,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Which {
    Engine,
    Real,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            environment::say(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let kind = match arguments.ground {
        Which::Engine => Kind::Engine,
        Which::Real => Kind::Real,
    };
    let options = Options {
        simulated_nodes: arguments.simulated_nodes,
        data: arguments.data,
        verbosity: arguments.verbosity,
        fsync: arguments.fsync,
        components: if arguments.api_only {
            Components::ApiOnly
        } else {
            Components::All
        },
        loopback: false,
    };
    let cluster = tokio::select! {
        cluster = start(kind, options, arguments.kubelet) => cluster?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    announce(&cluster, arguments.inside);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = stdin_closes(), if arguments.until_stdin_closes => {}
    }
    Ok(())
}

async fn start(kind: Kind, options: Options, kubelet: bool) -> Result<Cluster> {
    let mut cluster = Cluster::start(kind, options).await?;
    if kubelet {
        cluster
            .add_node(NodeOptions::new("kubelet", Runtime::Kubelet))
            .await?;
    }
    Ok(cluster)
}

/// Reads until there is nothing more. A read that fails is an end, too.
async fn stdin_closes() {
    tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink())
        .await
        .ok();
}

#[expect(clippy::print_stdout, reason = "the line is this program's answer")]
fn announce(cluster: &Cluster, inside: bool) {
    println!("export KUBECONFIG={}", cluster.kubeconfig().display());
    if inside && let Some(pin) = cluster.ground().and_then(Ground::pin) {
        println!(
            "inside {} {}",
            pin.display(),
            cluster.node_kubeconfig().display()
        );
    }
}
