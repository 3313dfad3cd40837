//! The embedded engine as its own process, `foreshore engine serve`.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use foreshore_sys::Ground;

use super::{Data, Options, kubeconfig::client, leftovers::Record};
use crate::{
    environment,
    process::{Process, Spec},
};

const READY: Duration = Duration::from_secs(30);

/// A running engine, in the order its parts are stopped.
#[derive(Debug)]
pub(super) struct Engine {
    program: Process,
    pub(super) kubeconfig: PathBuf,
    record: Record,
    data: Data,
}

impl Engine {
    pub(super) async fn start(options: &Options) -> Result<Self> {
        super::leftovers::collect()?;
        let data = Data::new(options, "engine")?;
        let make = if options.loopback {
            Ground::create_loopback
        } else {
            Ground::create
        };
        let mut record = Record::with("engine", data.path(), make)?;
        let kubeconfig = data.join("kubeconfig");
        let program = serve(data.path(), &kubeconfig, record.ground())?;
        record.watch_over(std::slice::from_ref(&program))?;
        let mut engine = Self {
            program,
            kubeconfig,
            record,
            data,
        };
        engine.ready().await?;
        Ok(engine)
    }

    pub(super) fn ground(&self) -> &Ground {
        self.record.ground()
    }

    pub(super) fn folder(&self) -> &Path {
        self.data.path()
    }

    pub(super) fn program(&mut self) -> &mut Process {
        &mut self.program
    }

    /// Starts it again on the data it has, after it was stopped or killed.
    pub(super) async fn restart(&mut self) -> Result<()> {
        self.program.kill()?;
        self.program = serve(self.data.path(), &self.kubeconfig, self.record.ground())?;
        self.record
            .watch_over(std::slice::from_ref(&self.program))?;
        self.ready().await
    }

    async fn ready(&mut self) -> Result<()> {
        let kubeconfig = self.kubeconfig.clone();
        let program = &mut self.program;
        program
            .ready(READY, || {
                let there = kubeconfig.exists();
                async move { there }
            })
            .await?;
        let client = client(&kubeconfig).await?;
        program
            .ready(READY, || async { client.apiserver_version().await.is_ok() })
            .await
    }
}

fn serve(folder: &Path, kubeconfig: &Path, ground: &Ground) -> Result<Process> {
    // The file appears when the engine is ready; an old one would lie.
    match std::fs::remove_file(kubeconfig) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).context("cannot remove the kubeconfig of an earlier start");
        }
        _ => {}
    }
    let mut spec = Spec::new(environment::foreshore()?, folder.join("engine.log"))
        .args(["engine", "serve", "--data"])
        .arg(folder.join("data"))
        .arg("--kubeconfig")
        .arg(kubeconfig);
    if let Some(pin) = ground.pin() {
        spec = spec.arg("--ground").arg(pin);
    }
    spec.start()
}
