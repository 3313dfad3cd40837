//! The one real control plane that all test programs of a run share.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{test_run::Built, tools::Cache};

/// A running cluster; it ends when its standard input closes, so also when
/// this program is killed.
#[derive(Debug)]
pub(super) struct SharedCluster {
    child: Child,
    kubeconfig: String,
    started_in: Duration,
}

impl SharedCluster {
    pub(super) fn start(cache: &Cache, built: &Built) -> Result<Self> {
        let started = Instant::now();
        let mut child = Command::new(built.program("foreshore-test-cluster")?)
            .args(["real", "--until-stdin-closes"])
            .env("FORESHORE_CACHE", cache.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the shared control plane")?;
        let stdout = child.stdout.take().context("its output was asked for")?;
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .context("cannot read what the control plane says")?;
        let Some(kubeconfig) = line.trim().strip_prefix("export KUBECONFIG=") else {
            let status = child.wait().context("cannot collect the control plane")?;
            bail!("the control plane did not become ready; it ended with {status}");
        };
        Ok(Self {
            child,
            kubeconfig: kubeconfig.to_owned(),
            started_in: started.elapsed(),
        })
    }

    pub(super) fn kubeconfig(&self) -> &str {
        &self.kubeconfig
    }

    pub(super) fn started_in(&self) -> Duration {
        self.started_in
    }

    /// Stops it and fails if it had ended before or ends badly.
    pub(super) fn stop(mut self) -> Result<()> {
        if let Some(status) = self
            .child
            .try_wait()
            .context("cannot look after the control plane")?
        {
            bail!("the control plane ended during the tests with {status}");
        }
        drop(self.child.stdin.take());
        if let Some(mut rest) = self.child.stdout.take() {
            let mut text = String::new();
            rest.read_to_string(&mut text)
                .context("cannot read what the control plane says")?;
        }
        let status = self
            .child
            .wait()
            .context("cannot collect the control plane")?;
        if !status.success() {
            bail!("the control plane ended with {status}");
        }
        Ok(())
    }
}
