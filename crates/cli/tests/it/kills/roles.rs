//! The four roles as processes of their own, which are killed and started again.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use foreshore_testkit::process::{Process, Spec};
use foreshore_testkit::{environment, wait};

use crate::stage::PATIENCE;

/// What a process of the platform does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Engine,
    Server,
    Node,
    Agent,
}

impl Role {
    /// In the order in which they need what the ones before leave on disk.
    pub(super) const ALL: [Self; 4] = [Self::Engine, Self::Server, Self::Node, Self::Agent];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::Server => "server",
            Self::Node => "node",
            Self::Agent => "agent",
        }
    }
}

/// A platform whose roles can be killed one by one.
#[derive(Debug)]
pub(super) struct Roles {
    folder: PathBuf,
    data: PathBuf,
    /// Chosen once: a role that starts again answers where it did.
    ports: [u16; 3],
    running: BTreeMap<Role, Process>,
}

impl Roles {
    /// Starts all, each as soon as it finds what it needs.
    pub(super) async fn start(folder: PathBuf) -> Result<Self> {
        let mut roles = Self {
            data: folder.join("data"),
            folder,
            ports: free_ports()?,
            running: BTreeMap::new(),
        };
        std::fs::create_dir_all(roles.data.join("ground"))?;
        for role in Role::ALL {
            roles.begin(role)?;
            let appears = match role {
                Role::Engine => roles.kubeconfig(),
                Role::Server => roles.data.join("credentials/agent.json"),
                Role::Node | Role::Agent => continue,
            };
            let process = roles
                .running
                .get_mut(&role)
                .context("it was just started")?;
            process
                .ready(PATIENCE, || {
                    let there = appears.exists();
                    async move { there }
                })
                .await?;
        }
        Ok(roles)
    }

    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.data.join("kubeconfig")
    }

    pub(super) fn ingress(&self) -> String {
        format!("http://{}", self.address(2))
    }

    fn address(&self, port: usize) -> String {
        format!("127.0.0.1:{}", self.ports[port])
    }

    fn pin(&self) -> PathBuf {
        self.data.join("ground/netns")
    }

    fn begin(&mut self, role: Role) -> Result<()> {
        let log = self.folder.join(format!("{}.log", role.name()));
        let spec = Spec::new(environment::foreshore()?, log)
            .env("FORESHORE_LOG", "info")
            .arg("--data")
            .arg(&self.data);
        let spec = match role {
            Role::Engine => spec
                .args(["engine", "serve", "--port", &self.ports[0].to_string()])
                .arg("--kubeconfig")
                .arg(self.kubeconfig())
                .arg("--ground")
                .arg(self.pin()),
            Role::Server => spec.args(["server", "--listen", &self.address(1)]),
            Role::Node => spec
                .args(["node", "--name", "local", "--ingress", &self.address(2)])
                .arg("--kubeconfig")
                .arg(self.kubeconfig())
                .arg("--ground")
                .arg(self.pin()),
            Role::Agent => spec
                .args(["agent", "--as", "agent"])
                .args(["--environment", "dev", "--environment", "prod"])
                .arg("--kubeconfig")
                .arg(self.kubeconfig()),
        };
        self.running.insert(role, spec.start()?);
        Ok(())
    }

    /// Kills a role at the given moment from now, and starts it again at once.
    pub(super) async fn strike(&mut self, role: Role, moment: Duration) -> Result<()> {
        tokio::time::sleep(moment).await;
        self.must_run()?;
        let process = self.running.get_mut(&role).context("every role runs")?;
        process.kill()?;
        self.begin(role)
    }

    /// Fails if a role has ended by itself.
    pub(super) fn must_run(&mut self) -> Result<()> {
        for (role, process) in &mut self.running {
            process.must_run().with_context(|| role.name())?;
        }
        Ok(())
    }

    /// Stops the roles politely and clears away their pods.
    pub(super) async fn stop(&mut self) -> Result<()> {
        let namespace = std::fs::metadata(self.pin())?.ino();
        for role in Role::ALL.into_iter().rev() {
            let mut process = self.running.remove(&role).context("every role runs")?;
            process.stop(PATIENCE).await?;
        }
        self.down()?;
        wait::until("the network namespace to be empty", PATIENCE, || async {
            !inhabited(namespace)
        })
        .await
    }

    fn down(&self) -> Result<()> {
        let status = Command::new(environment::foreshore()?)
            .args(["--quiet", "down", "--data"])
            .arg(&self.data)
            .status()?;
        anyhow::ensure!(status.success(), "`foreshore down` ended with {status}");
        Ok(())
    }
}

impl Drop for Roles {
    /// Pods outlive their node, so a test that fails has them to clear away.
    fn drop(&mut self) {
        if self.running.is_empty() {
            return;
        }
        self.running.clear();
        if let Err(error) = self.down() {
            environment::say(&format!("{error:#}"));
        }
    }
}

/// Ports of engine, server and ingress: found free and given back.
fn free_ports() -> Result<[u16; 3]> {
    let bind = || TcpListener::bind("127.0.0.1:0");
    // All at once, so that they differ.
    let listeners = [bind()?, bind()?, bind()?];
    let mut ports = [0; 3];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}

/// Whether a process lives in the network namespace with this number.
fn inhabited(namespace: u64) -> bool {
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| {
            let place = entry.path().join("ns/net");
            std::fs::metadata(place).is_ok_and(|place| place.ino() == namespace)
        })
}
