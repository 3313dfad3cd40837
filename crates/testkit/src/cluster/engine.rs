//! The embedded engine as its own process, `foreshore engine serve`.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use foreshore_sys::Ground;

use super::{Data, Options, kubeconfig::client};
use crate::{
    environment,
    process::{Process, Spec},
};

const READY: Duration = Duration::from_secs(30);

/// A running engine.
#[derive(Debug)]
pub(super) struct Engine {
    program: Process,
    pub(super) kubeconfig: PathBuf,
    _data: Data,
}

impl Engine {
    pub(super) async fn start(options: &Options) -> Result<Self> {
        let data = Data::new(options, "engine")?;
        let kubeconfig = data.join("kubeconfig");
        // The file appears when the engine is ready; an old one would lie.
        match std::fs::remove_file(&kubeconfig) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).context("cannot remove the kubeconfig of an earlier start");
            }
            _ => {}
        }
        let mut spec = Spec::new(environment::foreshore()?, data.join("engine.log"))
            .args(["engine", "serve", "--data"])
            .arg(data.join("engine"))
            .arg("--kubeconfig")
            .arg(&kubeconfig);
        if options.simulated_nodes > 0 {
            spec = spec
                .arg("--simulated-nodes")
                .arg(options.simulated_nodes.to_string());
        }
        let mut program = spec.start()?;
        program
            .ready(READY, || {
                let there = kubeconfig.exists();
                async move { there }
            })
            .await?;
        let client = client(&kubeconfig).await?;
        program
            .ready(READY, || async { client.apiserver_version().await.is_ok() })
            .await?;
        Ok(Self {
            program,
            kubeconfig,
            _data: data,
        })
    }

    /// The engine makes its own ground and does not lend it.
    pub(super) fn ground(&self) -> Option<&Ground> {
        let _ = self;
        None
    }

    pub(super) fn must_run(&mut self) -> Result<()> {
        self.program.must_run()
    }
}
