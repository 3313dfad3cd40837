//! Keeps the watches open that feed the world.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use foreshore_cluster::{Change, Cluster, SERVICE_LABEL};
use futures::StreamExt as _;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::world::{Scope, World};

/// Kinds that belong to a service through their controllers, not by label.
pub(crate) const OWNED_BY_CONTROLLERS: [(&str, &str); 2] =
    [("v1", "Pod"), ("apps/v1", "ReplicaSet")];

/// Watches by what they look at.
#[derive(Debug)]
pub(crate) struct Watches {
    cluster: Cluster,
    world: Arc<World>,
    shutdown: CancellationToken,
    open: Mutex<HashMap<Scope, JoinHandle<()>>>,
}

impl Watches {
    pub(crate) fn new(cluster: Cluster, world: Arc<World>, shutdown: CancellationToken) -> Self {
        Self {
            cluster,
            world,
            shutdown,
            open: Mutex::default(),
        }
    }

    /// Opens the watch of a scope unless it is open.
    pub(crate) fn ensure(&self, scope: &Scope) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // A watch ends only by a panic; then it is opened again.
        if open.get(scope).is_some_and(|task| !task.is_finished()) {
            return;
        }
        let task = watch(self.cluster.clone(), Arc::clone(&self.world), scope.clone());
        let shutdown = self.shutdown.clone();
        let task = tokio::spawn(async move {
            tokio::select! {
                () = task => {}
                () = shutdown.cancelled() => {}
            }
        });
        open.insert(scope.clone(), task);
    }

    /// Opens what every service in a namespace needs.
    pub(crate) fn ensure_family(&self, namespace: &str) {
        for scope in family(namespace) {
            self.ensure(&scope);
        }
    }
}

impl Drop for Watches {
    fn drop(&mut self) {
        let open = self.open.get_mut().unwrap_or_else(PoisonError::into_inner);
        for task in open.values() {
            task.abort();
        }
    }
}

/// The scopes of what controllers make in a namespace.
pub(crate) fn family(namespace: &str) -> impl Iterator<Item = Scope> {
    OWNED_BY_CONTROLLERS
        .into_iter()
        .map(move |(api_version, kind)| Scope {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
        })
}

async fn watch(cluster: Cluster, world: Arc<World>, scope: Scope) {
    let mut pause = Duration::from_millis(200);
    let resource = loop {
        match cluster.resource(&scope.api_version, &scope.kind).await {
            Ok(resource) => break resource,
            Err(error) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    kind = scope.kind,
                    "cannot watch yet; will retry"
                );
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(10));
            }
        }
    };
    let by_controllers = OWNED_BY_CONTROLLERS
        .iter()
        .any(|(_, kind)| *kind == scope.kind);
    let selector = if by_controllers { "" } else { SERVICE_LABEL };
    let mut changes = std::pin::pin!(cluster.watch(&resource, &scope.namespace, selector));
    while let Some(change) = changes.next().await {
        match change {
            Change::All(objects) => world.reset(&scope, objects),
            Change::Put(object) => world.put(&scope, &object),
            Change::Gone(object) => world.gone(&scope, &object),
            Change::Refused(error) => {
                debug!(
                    error,
                    kind = scope.kind,
                    "kind may not be watched; will ask again"
                );
                world.refused(&scope, error);
            }
            Change::Broken(error) => {
                debug!(
                    error,
                    kind = scope.kind,
                    namespace = scope.namespace,
                    "watch broke; will reopen"
                );
            }
        }
    }
}
