//! `cluster`: one to play with.

use std::{os::unix::process::CommandExt as _, process::Command, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use crate::{
    test_run,
    tools::{self, Cache},
};

/// Run a cluster in the foreground and print how to reach it
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Which Kubernetes API to run
    ground: Ground,

    /// Pretend to run pods on this many nodes
    #[arg(long, value_name = "N", default_value_t = 0)]
    simulated_nodes: u8,

    /// Add a node that is the real kubelet with containerd; only on `real`, as root
    #[arg(long)]
    kubelet: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Ground {
    /// Foreshore's own, for one machine
    Engine,
    /// kube-apiserver, etcd, controller manager and scheduler
    Real,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let cache = Cache::locate()?;
    tools::ensure_packages()?;
    if arguments.kubelet {
        tools::ensure_for_kubelet();
    }
    let built = test_run::build(&["build", "--bins"])?;
    let ground = match arguments.ground {
        Ground::Engine => "engine",
        Ground::Real => {
            tools::oracle(&cache)?;
            "real"
        }
    };
    // It takes this program's place, so signals reach it without detour.
    let error = Command::new(built.program("foreshore-test-cluster")?)
        .arg(ground)
        .args(["--simulated-nodes", &arguments.simulated_nodes.to_string()])
        .args(arguments.kubelet.then_some("--kubelet"))
        .env("FORESHORE_CACHE", cache.path())
        .exec();
    Err(error).context("cannot start the cluster")
}
