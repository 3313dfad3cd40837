//! A node: registers with a Kubernetes API and runs the pods it is given.

mod leftovers;
mod registration;

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use foreshore_model::chain;
use foreshore_sys::cgroup::Layout;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::runtime::utils::Backoff;
use kube::runtime::{WatchStreamExt, watcher};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::addresses::Addresses;
use crate::context::Context;
use crate::events::Events;
use crate::groups::Groups;
use crate::images;
use crate::kubelet::{Kubelet, KubeletError};
use crate::options::{Options, RuntimeKind};
use crate::pod::fields;
use crate::shim::FilesError;
use crate::worker::{Told, Worker, WorkerEnd};

pub use leftovers::{LeftoverError, remove_everything, stop_everything};

/// How long the lock of a node that has just ended may linger.
const LOCK_LIMIT: Duration = Duration::from_secs(2);

/// How soon a watch that broke is taken up again. The API is on this machine or
/// near: asking a few times a second harms nobody, and pods
/// wait for a node that comes back late.
#[derive(Debug)]
struct Again;

const AGAIN_AFTER: Duration = Duration::from_millis(250);

impl Iterator for Again {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(AGAIN_AFTER)
    }
}

impl Backoff for Again {
    fn reset(&mut self) {}
}

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error("cannot use the node's folder `{path}`")]
    Root {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the node's folder `{0}` is in use by another node")]
    Taken(PathBuf),
    #[error("cannot read what the node kept of its last run")]
    State(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("several nodes in one agent need the `simulated` runtime, not `{0}`")]
    SeveralNodes(RuntimeKind),
    #[error("cannot serve the kubelet's endpoints")]
    Kubelet(#[from] KubeletError),
}

impl From<FilesError> for NodeError {
    fn from(error: FilesError) -> Self {
        Self::State(Box::new(error))
    }
}

/// A node agent, ready to run.
#[derive(Debug)]
pub struct Node {
    contexts: Vec<Arc<Context>>,
    kubelets: Vec<Kubelet>,
    /// Keeps a second agent away from the same folder.
    _lock: std::fs::File,
}

impl Node {
    /// Opens the node's folder and its kubelet endpoints. Needs no API yet.
    #[expect(clippy::needless_pass_by_value, reason = "a node keeps its options")]
    pub fn new(options: Options) -> Result<Self, NodeError> {
        if options.simulated_nodes > 1 && options.runtime != RuntimeKind::Simulated {
            return Err(NodeError::SeveralNodes(options.runtime));
        }
        let lock = claim(&options)?;
        let salt = rand::random();
        let mut contexts = Vec::new();
        let mut kubelets = Vec::new();
        for number in 0..options.simulated_nodes.max(1) {
            let name = if options.simulated_nodes > 1 {
                format!("{}-{number}", options.node_name)
            } else {
                options.node_name.clone()
            };
            let mut options = options.clone();
            let index = options.node_index.wrapping_add(number);
            if number > 0 {
                options.root = options.root.join(&name);
                create_root(&options)?;
            }
            let addresses = Addresses::open(&options.root, index)?;
            let events = Events::new(options.client.clone(), name.clone(), salt);
            let groups = open_groups(&options);
            let context = Context::new(options, name, index, addresses, events, groups);
            let context = Arc::new(context);
            match Kubelet::bind(Arc::clone(&context)) {
                Ok(kubelet) => kubelets.push(kubelet),
                // Virtual nodes may be where no ground is; only their logs are missed.
                Err(error) if context.options.runtime == RuntimeKind::Simulated => {
                    tracing::debug!(error = chain(&error), "logs of this node cannot be read");
                }
                Err(error) => return Err(error.into()),
            }
            contexts.push(context);
        }
        Ok(Self {
            contexts,
            kubelets,
            _lock: lock,
        })
    }

    /// Runs until `shutdown`; containers outlive it and are found again by
    /// the next run on the same folder.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut tasks = JoinSet::new();
        for context in &self.contexts {
            tasks.spawn(registration::keep_registered(
                Arc::clone(context),
                shutdown.clone(),
            ));
        }
        let first = Arc::clone(&self.contexts[0]);
        if first.options.runtime != RuntimeKind::Simulated {
            let shutdown = shutdown.clone();
            tasks.spawn(async move { images::keep_room(&first, shutdown).await });
        }
        for kubelet in self.kubelets {
            tasks.spawn(kubelet.run(shutdown.clone()));
        }
        let herd = Herd {
            contexts: self.contexts,
            workers: HashMap::new(),
            tasks: JoinSet::new(),
            shutdown,
        };
        herd.run().await;
        while tasks.join_next().await.is_some() {}
    }
}

/// What cannot be limited is told once; pods that ask for it tell it again.
fn open_groups(options: &Options) -> Groups {
    let layout = match options.runtime {
        RuntimeKind::Simulated => Layout::none(),
        RuntimeKind::Sandbox | RuntimeKind::Process => options.control_groups.clone(),
    };
    let (groups, missing) = Groups::open(&layout, &options.root);
    if options.runtime != RuntimeKind::Simulated {
        for line in missing {
            tracing::warn!(missing = line, "containers run without a limit");
        }
    }
    groups
}

fn create_root(options: &Options) -> Result<(), NodeError> {
    let failed = |source| NodeError::Root {
        path: options.root.clone(),
        source,
    };
    std::fs::create_dir_all(options.root.join("pods")).map_err(failed)?;
    // Plain processes run as other users must get through to their files.
    for path in [options.root.clone(), options.root.join("pods")] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o711);
        std::fs::set_permissions(path, mode).map_err(failed)?;
    }
    Ok(())
}

fn claim(options: &Options) -> Result<std::fs::File, NodeError> {
    create_root(options)?;
    let failed = |source| NodeError::Root {
        path: options.root.clone(),
        source,
    };
    let lock = std::fs::File::create(options.root.join("lock")).map_err(failed)?;
    let deadline = std::time::Instant::now() + LOCK_LIMIT;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            // A child that was forked for another purpose holds a copy until
            // it runs its program, also when the former owner is gone.
            Err(std::fs::TryLockError::WouldBlock) if std::time::Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(NodeError::Taken(options.root.clone()));
            }
            Err(std::fs::TryLockError::Error(source)) => return Err(failed(source)),
        }
    }
}

/// One pod that is looked after.
#[derive(Debug)]
struct Tended {
    told: watch::Sender<Told>,
    /// Name of its task, to find it when the task ends.
    task: tokio::task::Id,
}

/// All pods of all nodes of this agent.
struct Herd {
    contexts: Vec<Arc<Context>>,
    /// By uid.
    workers: HashMap<String, Tended>,
    tasks: JoinSet<WorkerEnd>,
    shutdown: CancellationToken,
}

impl Herd {
    async fn run(mut self) {
        let first = &self.contexts[0];
        let api: Api<Pod> = Api::all(first.options.client.clone());
        let config = match self.contexts.len() {
            1 => watcher::Config::default().fields(&format!("spec.nodeName={}", first.node_name)),
            // One stream for all nodes is cheaper than one for each.
            _ => watcher::Config::default(),
        };
        let mut pods = watcher(api, config).backoff(Again).boxed();
        let mut listed = HashSet::new();
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => break,
                event = pods.try_next() => match event {
                    Ok(Some(event)) => self.hear(event, &mut listed).await,
                    Ok(None) => break,
                    Err(error) => {
                        tracing::warn!(error = &error as &dyn std::error::Error, "pods cannot be watched; will retry");
                    }
                },
                Some(ended) = self.tasks.join_next_with_id() => self.worker_ended(&ended),
            }
        }
        while self.tasks.join_next().await.is_some() {}
    }

    async fn hear(&mut self, event: watcher::Event<Pod>, listed: &mut HashSet<String>) {
        match event {
            watcher::Event::Init => listed.clear(),
            watcher::Event::InitApply(pod) => {
                listed.insert(fields::uid(&pod).to_owned());
                self.tend(pod);
            }
            watcher::Event::InitDone => {
                let gone: Vec<String> = self
                    .workers
                    .keys()
                    .filter(|uid| !listed.contains(*uid))
                    .cloned()
                    .collect();
                for uid in &gone {
                    self.gone(uid);
                }
                // Those that are still looked after remove themselves.
                listed.extend(self.workers.keys().cloned());
                for context in &self.contexts {
                    leftovers::remove_unknown(context, listed).await;
                }
            }
            watcher::Event::Apply(pod) => self.tend(pod),
            watcher::Event::Delete(pod) => self.gone(fields::uid(&pod)),
        }
    }

    fn tend(&mut self, pod: Pod) {
        let node = fields::spec(&pod).node_name.as_deref();
        let Some(context) = self
            .contexts
            .iter()
            .find(|context| node == Some(&context.node_name))
        else {
            return;
        };
        let uid = fields::uid(&pod).to_owned();
        let pod = Arc::new(pod);
        if let Some(tended) = self.workers.get(&uid) {
            tended.told.send_replace(Told::Pod(pod));
            return;
        }
        let (told, hears) = watch::channel(Told::Pod(Arc::clone(&pod)));
        let worker = Worker::run(Arc::clone(context), pod, hears, self.shutdown.clone());
        let task = self.tasks.spawn(worker).id();
        self.workers.insert(uid, Tended { told, task });
    }

    fn gone(&mut self, uid: &str) {
        if let Some(tended) = self.workers.get(uid) {
            tended.told.send_replace(Told::Gone);
        }
    }

    fn worker_ended(
        &mut self,
        ended: &Result<(tokio::task::Id, WorkerEnd), tokio::task::JoinError>,
    ) {
        let task = match ended {
            Ok((id, _)) => *id,
            Err(error) => {
                tracing::error!(
                    error = error as &dyn std::error::Error,
                    "a pod is no longer looked after"
                );
                error.id()
            }
        };
        self.workers.retain(|_, tended| tended.task != task);
    }
}
