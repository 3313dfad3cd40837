//! A running Kubernetes API for a test: the real one or the embedded engine.
//!
//! Either way a test gets a kubeconfig and a client and need not know which
//! ground it stands on. Everything is stopped by process id when the
//! [`Cluster`] is dropped, and by the kernel if the test is killed.

mod cgroups;
mod engine;
mod forward;
mod kubeconfig;
mod kubelet;
mod leftovers;
mod nodes;
mod pki;
mod real;
mod shared;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result, bail};
use foreshore_sys::Ground;
use kube::Client;

pub use kubeconfig::{client, install_crypto};
pub use kubelet::unmet as no_kubelet_because;
pub use nodes::{NodeOptions, Runtime};

use crate::{TempDir, process::Process};

/// Place of the first virtual node; nodes that run pods count from below.
const SIMULATED_INDEX: u8 = 100;

/// Which implementation of the Kubernetes API answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// kube-apiserver, etcd, kube-controller-manager and kube-scheduler.
    Real,
    /// Our own, `foreshore engine serve`.
    Engine,
}

/// What of the control plane is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Components {
    /// The API alone: objects stay as they are written.
    ApiOnly,
    #[default]
    All,
}

/// How a cluster is started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Parts to start; the engine always starts all.
    pub components: Components,
    /// Whether etcd waits for the disk. Tests that do not cut the power need not.
    pub fsync: bool,
    /// Where data is kept; a temporary folder if not given.
    pub data: Option<PathBuf>,
    /// Nodes whose pods are only pretended.
    pub simulated_nodes: u8,
    /// `--v` of the Go programs.
    pub verbosity: u8,
    /// Whether pods get loopback addresses of this machine, as where no
    /// namespaces are to be had; with the engine only.
    pub loopback: bool,
}

/// A running cluster; dropping it stops everything.
///
/// Fields are dropped in this order: nodes first, then what they stand on.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Process>,
    kind: Kind,
    kubeconfig: PathBuf,
    node_kubeconfig: PathBuf,
    backing: Backing,
}

#[derive(Debug)]
enum Backing {
    Real(Box<real::ControlPlane>),
    Engine(Box<engine::Engine>),
    /// Somebody else's: the run that started the tests stops it.
    Shared,
}

impl Cluster {
    /// Starts a real control plane of its own and waits until it is ready.
    pub async fn real(options: Options) -> Result<Self> {
        install_crypto();
        let control_plane = real::ControlPlane::start(&options).await?;
        let cluster = Self {
            nodes: Vec::new(),
            kind: Kind::Real,
            kubeconfig: control_plane.kubeconfig.clone(),
            node_kubeconfig: control_plane.node_kubeconfig.clone(),
            backing: Backing::Real(Box::new(control_plane)),
        };
        cluster.with_simulated(options.simulated_nodes).await
    }

    /// Starts an embedded engine of its own and waits until it is ready.
    pub async fn engine(options: Options) -> Result<Self> {
        install_crypto();
        let engine = engine::Engine::start(&options).await?;
        let cluster = Self {
            nodes: Vec::new(),
            kind: Kind::Engine,
            kubeconfig: engine.kubeconfig.clone(),
            node_kubeconfig: engine.kubeconfig.clone(),
            backing: Backing::Engine(Box::new(engine)),
        };
        cluster.with_simulated(options.simulated_nodes).await
    }

    async fn with_simulated(mut self, count: u8) -> Result<Self> {
        if count > 0 {
            let node = NodeOptions {
                count,
                index: SIMULATED_INDEX,
                ..NodeOptions::new("simulated", Runtime::Simulated)
            };
            self.add_node(node).await?;
        }
        Ok(self)
    }

    /// Adds a node to a cluster of one's own and waits until it is ready.
    pub async fn add_node(&mut self, options: NodeOptions) -> Result<()> {
        if options.runtime == Runtime::Kubelet {
            let Backing::Real(control_plane) = &mut self.backing else {
                bail!("the real kubelet is a node of a real control plane of one's own only");
            };
            return control_plane.add_kubelet(&options.name).await;
        }
        let (folder, ground) = match &self.backing {
            Backing::Real(control_plane) => (control_plane.folder(), control_plane.ground()),
            Backing::Engine(engine) => (engine.folder(), engine.ground()),
            Backing::Shared => bail!("a shared cluster's nodes belong to the run that started it"),
        };
        let client = self.client().await?;
        let agent = nodes::start(&options, folder, &self.kubeconfig, ground, client).await?;
        self.nodes.push(agent);
        Ok(())
    }

    /// The agents of the added nodes, in the order they were added.
    pub fn nodes(&mut self) -> &mut [Process] {
        &mut self.nodes
    }

    /// A program of the control plane: `etcd`, `kube-apiserver`, … or, on the
    /// engine, `foreshore`.
    pub fn program(&mut self, name: &str) -> Result<&mut Process> {
        match &mut self.backing {
            Backing::Real(control_plane) => control_plane.program(name),
            Backing::Engine(engine) if name == "foreshore" => Ok(engine.program()),
            Backing::Engine(_) => {
                bail!("the engine is one program, `foreshore`; there is no `{name}`")
            }
            Backing::Shared => {
                bail!("a shared cluster's programs belong to the run that started it")
            }
        }
    }

    /// Starts the engine again on its data, after it was stopped or killed.
    pub async fn restart(&mut self) -> Result<()> {
        match &mut self.backing {
            Backing::Engine(engine) => engine.restart().await,
            _ => bail!("only an engine of one's own can be started again"),
        }
    }

    /// Starts a cluster of the given kind.
    pub async fn start(kind: Kind, options: Options) -> Result<Self> {
        match kind {
            Kind::Real => Self::real(options).await,
            Kind::Engine => Self::engine(options).await,
        }
    }

    /// The cluster that this run of the tests shares.
    ///
    /// Use a namespace of your own in it, and touch nothing else. `cargo xtask
    /// test` names it in `FORESHORE_REAL_KUBECONFIG` and
    /// `FORESHORE_ENGINE_KUBECONFIG`; without these the tests of one program
    /// share one, which stops when the last of them lets go of it.
    pub async fn shared(kind: Kind) -> Result<Arc<Self>> {
        shared::cluster(kind).await
    }

    /// Somebody else's cluster, named by the kubeconfig at `path`.
    fn borrowed(kind: Kind, path: PathBuf) -> Self {
        install_crypto();
        Self {
            nodes: Vec::new(),
            kind,
            node_kubeconfig: path.with_file_name(NODE_KUBECONFIG),
            kubeconfig: path,
            backing: Backing::Shared,
        }
    }

    /// Which implementation answers.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Kubeconfig of an administrator, usable from the host.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Kubeconfig of an administrator, usable inside the ground.
    pub fn node_kubeconfig(&self) -> &Path {
        &self.node_kubeconfig
    }

    /// A client for the calling runtime; make one per test.
    pub async fn client(&self) -> Result<Client> {
        client(&self.kubeconfig).await
    }

    /// The network namespace it runs in, unless it is somebody else's.
    pub fn ground(&self) -> Option<&Ground> {
        match &self.backing {
            Backing::Real(control_plane) => Some(control_plane.ground()),
            Backing::Engine(engine) => Some(engine.ground()),
            Backing::Shared => None,
        }
    }

    /// Opens a port of the host's loopback on the ground's loopback too, so that
    /// what runs there reaches, say, a registry of the test.
    pub fn expose(&mut self, port: u16) -> Result<()> {
        match &mut self.backing {
            Backing::Real(control_plane) => control_plane.expose(port),
            _ => bail!("only a real control plane of one's own can be shown a port"),
        }
    }

    /// Fails with the end of its log if a program has ended.
    pub fn must_run(&mut self) -> Result<()> {
        match &mut self.backing {
            Backing::Real(control_plane) => control_plane.must_run(),
            Backing::Engine(engine) => engine.program().must_run(),
            Backing::Shared => Ok(()),
        }
    }

    /// Runs `kubectl` against it and returns what it printed.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<std::process::Output> {
        let program = crate::environment::oracle("kubectl")?;
        tokio::process::Command::new(&program)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(arguments)
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| format!("cannot run `{}`", program.display()))
    }
}

/// Name of the kubeconfig for inside the ground, beside the one for outside.
const NODE_KUBECONFIG: &str = "node.kubeconfig";

/// The folder a cluster keeps its files in.
#[derive(Debug)]
enum Data {
    Temporary(TempDir),
    Given(PathBuf),
}

impl Data {
    fn new(options: &Options, name: &str) -> Result<Self> {
        match &options.data {
            None => Ok(Self::Temporary(TempDir::new(name)?)),
            Some(path) => {
                std::fs::create_dir_all(path)
                    .with_context(|| format!("cannot make folder `{}`", path.display()))?;
                Ok(Self::Given(path.clone()))
            }
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Temporary(folder) => folder.path(),
            Self::Given(path) => path,
        }
    }

    fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }
}
