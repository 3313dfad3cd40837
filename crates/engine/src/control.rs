//! The control loops: informers fill caches, events fill queues, decisions of
//! `controllers` and `scheduler` become writes.
//!
//! They are ordinary clients and would do the same on any Kubernetes API.

mod accounts;
mod announce;
mod autoscalers;
mod cache;
mod daemon_sets;
mod deployments;
mod disruptions;
mod endpoints;
mod events;
mod execute;
mod expectations;
mod garbage;
mod jobs;
mod kinds;
mod nodes;
mod owners;
mod queue;
mod replica_sets;
mod request;
mod scheduling;
mod stateful_sets;
mod volumes;
mod work;

use std::future::Future;
use std::path::Path;
use std::pin::Pin;

use k8s_openapi::api::apps::v1::{
    ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet,
};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{
    ConfigMap, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, Service,
    ServiceAccount,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::{Api, Client};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::info;

use cache::Informer;
use events::Recorder;
use execute::Executor;
use kinds::Kinds;

/// Something that runs until it is dropped.
pub(crate) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Why the control loops did not start.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("cannot ask the API which kinds it serves")]
    Discover(#[source] Box<kube::Error>),
    #[error("a control loop panicked")]
    Panicked(#[source] tokio::task::JoinError),
}

/// The clients of the control loops: each component writes under its own name.
#[derive(Clone)]
pub struct Clients {
    pub controllers: Client,
    pub scheduler: Client,
}

/// All informers, before they start to watch.
struct Informers {
    namespaces: Informer<Namespace>,
    nodes: Informer<Node>,
    pods: Informer<Pod>,
    leases: Informer<Lease>,
    services: Informer<Service>,
    slices: Informer<EndpointSlice>,
    deployments: Informer<Deployment>,
    replica_sets: Informer<ReplicaSet>,
    stateful_sets: Informer<StatefulSet>,
    daemon_sets: Informer<DaemonSet>,
    revisions: Informer<ControllerRevision>,
    jobs: Informer<Job>,
    cron_jobs: Informer<CronJob>,
    budgets: Informer<PodDisruptionBudget>,
    autoscalers: Informer<HorizontalPodAutoscaler>,
    claims: Informer<PersistentVolumeClaim>,
    volumes: Informer<PersistentVolume>,
    accounts: Informer<ServiceAccount>,
    config_maps: Informer<ConfigMap>,
}

impl Informers {
    fn new(client: &Client) -> Self {
        // Only the certificate bundles matter; other config maps may be many.
        Self {
            namespaces: Informer::new(Api::all(client.clone())),
            nodes: Informer::new(Api::all(client.clone())),
            pods: Informer::new(Api::all(client.clone())),
            leases: Informer::new(Api::namespaced(client.clone(), "kube-node-lease")),
            services: Informer::new(Api::all(client.clone())),
            slices: Informer::new(Api::all(client.clone())),
            deployments: Informer::new(Api::all(client.clone())),
            replica_sets: Informer::new(Api::all(client.clone())),
            stateful_sets: Informer::new(Api::all(client.clone())),
            daemon_sets: Informer::new(Api::all(client.clone())),
            revisions: Informer::new(Api::all(client.clone())),
            jobs: Informer::new(Api::all(client.clone())),
            cron_jobs: Informer::new(Api::all(client.clone())),
            budgets: Informer::new(Api::all(client.clone())),
            autoscalers: Informer::new(Api::all(client.clone())),
            claims: Informer::new(Api::all(client.clone())),
            volumes: Informer::new(Api::all(client.clone())),
            accounts: Informer::new(Api::all(client.clone())),
            config_maps: Informer::new(Api::all(client.clone())).only_fields(&format!(
                "metadata.name={}",
                foreshore_controllers::service_account::ROOT_CA
            )),
        }
    }

    fn into_tasks(self) -> Vec<Task> {
        vec![
            self.namespaces.into_task(),
            self.nodes.into_task(),
            self.pods.into_task(),
            self.leases.into_task(),
            self.services.into_task(),
            self.slices.into_task(),
            self.deployments.into_task(),
            self.replica_sets.into_task(),
            self.stateful_sets.into_task(),
            self.daemon_sets.into_task(),
            self.revisions.into_task(),
            self.jobs.into_task(),
            self.cron_jobs.into_task(),
            self.budgets.into_task(),
            self.autoscalers.into_task(),
            self.claims.into_task(),
            self.volumes.into_task(),
            self.accounts.into_task(),
            self.config_maps.into_task(),
        ]
    }
}

/// Runs all control loops until `shutdown`.
///
/// `certificate_authority` is the PEM bundle handed to every namespace,
/// `volumes` the folder with the directories of volume claims. They survive an API that goes away: watches are resumed, queues keep their keys.
pub async fn run(
    clients: Clients,
    certificate_authority: String,
    volumes: &Path,
    shutdown: CancellationToken,
) -> Result<(), ControlError> {
    let kinds = Kinds::default();
    kinds
        .discover(&clients.controllers)
        .await
        .map_err(|source| ControlError::Discover(Box::new(source)))?;

    let (recorder, writer) = Recorder::new(clients.controllers.clone());
    let executor = Executor {
        client: clients.controllers.clone(),
        recorder,
        kinds: kinds.clone(),
    };
    let mut informers = Informers::new(&clients.controllers);
    let mut tasks = vec![writer];
    tasks.extend(deployments::tasks(&mut informers, &executor));
    tasks.extend(replica_sets::tasks(&mut informers, &executor));
    tasks.extend(stateful_sets::tasks(&mut informers, &executor));
    tasks.extend(daemon_sets::tasks(&mut informers, &executor));
    tasks.extend(jobs::tasks(&mut informers, &executor));
    tasks.extend(disruptions::tasks(&mut informers, &executor));
    tasks.extend(autoscalers::tasks(&mut informers, &executor));
    tasks.extend(volumes::tasks(&mut informers, &executor, volumes));
    tasks.extend(endpoints::tasks(&mut informers, &executor));
    tasks.extend(accounts::tasks(
        &mut informers,
        &executor,
        certificate_authority,
    ));
    tasks.extend(nodes::tasks(&mut informers, &executor));
    tasks.extend(garbage::tasks(&mut informers, &executor, &kinds));
    let scheduler = Executor {
        client: clients.scheduler,
        ..executor.of("default-scheduler")
    };
    tasks.extend(scheduling::tasks(&mut informers, &scheduler));
    tasks.extend(informers.into_tasks());

    let mut running = JoinSet::new();
    for task in tasks {
        running.spawn(task);
    }
    info!("control loops started");
    // They run for ever: one that ends has panicked, and half a control plane
    // would be worse than none.
    let ended = shutdown.run_until_cancelled(running.join_next()).await;
    running.shutdown().await;
    match ended.flatten() {
        Some(Err(error)) => Err(ControlError::Panicked(error)),
        Some(Ok(())) | None => Ok(()),
    }
}

/// Runs `tasks` once every cache they read is filled.
fn after_sync<F>(ready: F, tasks: Vec<Task>) -> Task
where
    F: Future<Output = ()> + Send + 'static,
{
    Box::pin(async move {
        ready.await;
        futures::future::join_all(tasks).await;
    })
}
