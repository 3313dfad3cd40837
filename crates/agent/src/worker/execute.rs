//! Carrying out steps: they leave no choices here but how to wait and what to remember.

use std::time::Duration;

use foreshore_cluster::{
    Applied, ApplyMode, CallError, Deleted, Entry, Inventory, Reference, fingerprint,
};
use foreshore_model::{Phase, clock};
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::{Failure, Next, Worker, Written};
use crate::desired::Desired;
use crate::hooks::Hook;
use crate::phase::Course;
use crate::steps::{Stage, Step, release_steps};
use crate::watches::family;
use crate::world::{Scope, text};

/// Steps of one stage of one service that run at the same time.
const STEPS_AT_ONCE: usize = 8;
/// How long the first list of a kind may take before the write is put off.
const LIST_PATIENCE: Duration = Duration::from_secs(10);

/// What one step did.
#[derive(Debug)]
enum Done {
    Nothing,
    Applied {
        reference: Reference,
        applied: Box<Applied>,
    },
    Scaled {
        reference: Reference,
        replicas: u32,
    },
    Pruned(Reference),
    Saved(Box<Inventory>),
}

impl Worker {
    /// Writes the release; on failure reports it and says when to try again.
    pub(super) async fn write(&mut self, desired: &Desired) -> Result<(), Next> {
        if !self.is_told(desired, Phase::Applying) {
            let circle = self.circle.take().map(|circle| {
                let message = format!("services depend on each other in a circle ({circle}); they are written without waiting for each other");
                Failure::cause("release", "DependencyCycle", message)
            });
            self.tell(desired, Phase::Applying, circle.into_iter().collect());
        }
        let started = Instant::now();
        match self.try_write(desired).await {
            Ok(()) => {
                self.retry.reset();
                self.course = Course::default();
                self.since = clock::now();
                let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                info!(
                    release = desired.release.sequence,
                    objects = desired.objects.len(),
                    elapsed_ms,
                    "release written"
                );
                Ok(())
            }
            Err(failure) => {
                let (first, most) = failure.pauses();
                self.retry.failed(first, most);
                match failure {
                    Failure::Preempted => self.retry.reset(),
                    Failure::Transient(causes) => {
                        warn!(
                            cause = causes.first().map(|cause| cause.message.as_str()),
                            "release not written; will retry"
                        );
                        self.tell(desired, Phase::Applying, causes);
                    }
                    Failure::Permanent(causes) => self.tell(desired, Phase::Failed, causes),
                }
                Err(self.retry.next())
            }
        }
    }

    async fn try_write(&mut self, desired: &Desired) -> Result<(), Failure> {
        self.watch_kinds(desired).await?;
        self.check_owners(desired)?;
        let Some(inventory) = &self.inventory else {
            return Err(Failure::Transient(Vec::new()));
        };
        let stages = release_steps(desired, inventory, clock::now())
            .map_err(|refusal| Failure::of_refusal(&refusal))?;
        let shared = std::sync::Arc::clone(&self.shared);
        // The semaphore lives as long as the agent and is never closed.
        let _turn = shared
            .writers
            .acquire()
            .await
            .expect("nobody closes the semaphore");
        for stage in stages {
            if self.target.has_changed().unwrap_or(false) {
                return Err(Failure::Preempted);
            }
            self.execute(stage).await?;
        }
        Ok(())
    }

    /// Opens the watches of all kinds and waits for their first lists.
    pub(super) async fn watch_kinds(&self, desired: &Desired) -> Result<(), Failure> {
        let scopes = self.scopes(desired).await?;
        for scope in &scopes {
            self.shared.watches.ensure(scope);
        }
        let deadline = Instant::now() + LIST_PATIENCE;
        while let Some(missing) = scopes
            .iter()
            .find(|scope| !self.shared.world.is_listed(scope))
        {
            if let Some(why) = self.shared.world.refusal(missing) {
                let message = format!("kind `{}` may not be watched: {why}", missing.kind);
                let cause = Failure::cause(&format!("kind/{}", missing.kind), "Forbidden", message);
                return Err(Failure::Permanent(vec![cause]));
            }
            if Instant::now() >= deadline {
                let message = format!("kind `{}` has not been listed yet", missing.kind);
                return Err(Failure::Transient(vec![Failure::cause(
                    "cluster",
                    "Unreachable",
                    message,
                )]));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Returns what must be watched to judge the service.
    async fn scopes(&self, desired: &Desired) -> Result<Vec<Scope>, Failure> {
        let mut scopes: Vec<Scope> = family(&self.namespace).collect();
        let hooks = desired.hooks.iter().map(Hook::reference);
        for reference in desired.references().chain(hooks) {
            let resource = self
                .base
                .resource(&reference.api_version, &reference.kind)
                .await
                .map_err(|error| Failure::of_call(&reference, &error))?;
            if !resource.namespaced {
                let message = format!(
                    "kind `{}` lives outside namespaces; a service cannot have it",
                    resource.kind
                );
                return Err(Failure::Permanent(vec![Failure::cause(
                    &reference.to_string(),
                    "ClusterScoped",
                    message,
                )]));
            }
            let scope = Scope {
                api_version: resource.api_version,
                kind: resource.kind,
                namespace: self.namespace.clone(),
            };
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
        Ok(scopes)
    }

    /// Refuses to take an object from another service.
    fn check_owners(&self, desired: &Desired) -> Result<(), Failure> {
        let (environment, service) = (self.owner.environment.as_str(), self.owner.service.as_str());
        let taken = desired.references().filter_map(|reference| {
            let seen = self.shared.world.find(&reference)?;
            let (its_environment, its_service) = seen.owner_labels()?;
            let other = (its_environment, its_service) != (environment, service);
            let message =
                format!("it belongs to service `{its_service}` of environment `{its_environment}`");
            other.then(|| Failure::cause(&reference.to_string(), "OwnedByOther", message))
        });
        let causes: Vec<_> = taken.take(3).collect();
        if causes.is_empty() {
            Ok(())
        } else {
            Err(Failure::Permanent(causes))
        }
    }

    /// Carries out one stage; what was done is remembered even if some of it failed.
    pub(super) async fn execute(&mut self, stage: Stage) -> Result<(), Failure> {
        let this = &*self;
        let results: Vec<Result<Done, Failure>> = stream::iter(stage)
            .map(|step| this.step(step))
            .buffer_unordered(STEPS_AT_ONCE)
            .collect()
            .await;
        let mut failures = Vec::new();
        for result in results {
            match result {
                Ok(done) => self.remember(done),
                Err(failure) => failures.push(failure),
            }
        }
        Failure::joined(failures).map_or(Ok(()), Err)
    }

    async fn step(&self, step: Step) -> Result<Done, Failure> {
        debug!(%step, "step");
        match step {
            Step::Namespace(name) => self.ensure_namespace(&name).await,
            Step::Validate(object) => {
                let checked = self.cluster.apply(&object, ApplyMode::DryRun).await;
                checked
                    .map(|_| Done::Nothing)
                    .map_err(|error| of_object(&object, &error))
            }
            Step::Apply(object) => {
                let applied = self.cluster.apply(&object, ApplyMode::Force).await;
                let applied = applied.map_err(|error| of_object(&object, &error))?;
                Ok(Done::Applied {
                    reference: reference(&object),
                    applied: Box::new(applied),
                })
            }
            Step::Scale {
                reference,
                replicas,
            } => {
                let scaled = self.cluster.scale(&reference, replicas).await;
                match scaled {
                    // Somebody removed it; it is made anew, and scaled once it is seen.
                    Err(CallError::NotFound { .. }) => return Ok(Done::Nothing),
                    other => other.map_err(|error| Failure::of_call(&reference, &error))?,
                }
                Ok(Done::Scaled {
                    reference,
                    replicas,
                })
            }
            Step::Expect(entries) => self.save(|inventory| inventory.entries = entries).await,
            Step::Record {
                tree,
                sequence,
                artifact,
            } => {
                self.save(|inventory| {
                    inventory.tree = tree;
                    inventory.sequence = sequence;
                    inventory.artifact = Some(artifact);
                })
                .await
            }
            Step::Hooks(hooks) => self.save(|inventory| inventory.hooks = hooks).await,
            Step::Prune(entry) => self.prune(entry).await,
            Step::Forget => {
                let Some(inventory) = &self.inventory else {
                    return Ok(Done::Nothing);
                };
                let removed = self.base.remove_inventory(&self.namespace, inventory).await;
                removed
                    .map(|()| Done::Nothing)
                    .map_err(|error| Failure::of_inventory(&error))
            }
        }
    }

    async fn ensure_namespace(&self, name: &str) -> Result<Done, Failure> {
        let reference = Reference::new("v1", "Namespace", "", name);
        let failed = |error: &CallError| Failure::of_call(&reference, error);
        let found = self
            .base
            .get(&reference)
            .await
            .map_err(|error| failed(&error))?;
        if let Some(found) = found {
            let leaving = !text(&found, "/metadata/deletionTimestamp").is_empty();
            if leaving {
                let message = "the namespace is being deleted".to_owned();
                return Err(Failure::Transient(vec![Failure::cause(
                    &reference.to_string(),
                    "Terminating",
                    message,
                )]));
            }
            return Ok(Done::Nothing);
        }
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "foreshore"}},
        });
        let made = self.base.apply(&namespace, ApplyMode::Force).await;
        made.map(|_| Done::Nothing).map_err(|error| failed(&error))
    }

    async fn save(&self, change: impl FnOnce(&mut Inventory)) -> Result<Done, Failure> {
        let Some(mut inventory) = self.inventory.clone() else {
            return Ok(Done::Nothing);
        };
        change(&mut inventory);
        let saved = self.base.save_inventory(&self.namespace, &inventory).await;
        saved.map_err(|error| Failure::of_inventory(&error))?;
        Ok(Done::Saved(Box::new(inventory)))
    }

    /// Removes an object if it is the one we made; what is not ours is only forgotten.
    async fn prune(&self, entry: Entry) -> Result<Done, Failure> {
        let reference = entry.reference();
        let failed = |error: &CallError| Failure::of_call(&reference, error);
        let live = self
            .cluster
            .get(&reference)
            .await
            .map_err(|error| failed(&error))?;
        let Some(live) = live else {
            return Ok(Done::Pruned(reference));
        };
        let uid = text(&live, "/metadata/uid");
        if !self.owns(&live) || (!entry.uid.is_empty() && entry.uid != uid) {
            warn!(
                kind = entry.kind,
                name = entry.name,
                "object is not ours any more; left alone"
            );
            return Ok(Done::Pruned(reference));
        }
        let deleted = self
            .cluster
            .delete(&reference, Some(uid))
            .await
            .map_err(|error| failed(&error))?;
        if deleted == Deleted::Accepted {
            info!(kind = entry.kind, name = entry.name, "object pruned");
        }
        Ok(Done::Pruned(reference))
    }

    /// Whether the labels of a live object name this service.
    pub(super) fn owns(&self, live: &Value) -> bool {
        let label = |key: &str| live["metadata"]["labels"][key].as_str();
        label(foreshore_cluster::SERVICE_LABEL) == Some(self.owner.service.as_str())
            && label(foreshore_cluster::ENVIRONMENT_LABEL) == Some(self.owner.environment.as_str())
    }

    fn remember(&mut self, done: Done) {
        let Some(inventory) = &mut self.inventory else {
            return;
        };
        match done {
            Done::Nothing => {}
            Done::Saved(saved) => *inventory = *saved,
            Done::Pruned(reference) => {
                inventory
                    .entries
                    .retain(|entry| !entry.reference().is_same(&reference));
                self.written.remove(&reference);
            }
            Done::Applied { reference, applied } => {
                if let Some(entry) = inventory
                    .entries
                    .iter_mut()
                    .find(|entry| entry.reference().is_same(&reference))
                {
                    applied.uid().clone_into(&mut entry.uid);
                    entry.fingerprint = fingerprint(&applied.object);
                }
                let written = Written {
                    resource_version: applied.resource_version().to_owned(),
                    at: Instant::now(),
                    shown: !applied.created,
                };
                self.written.insert(reference, written);
            }
            Done::Scaled {
                reference,
                replicas,
            } => {
                info!(
                    kind = reference.kind,
                    name = reference.name,
                    replicas,
                    "workload scaled"
                );
                // The write changed the object; its next copy is compared afresh.
                if let Some(entry) = inventory
                    .entries
                    .iter_mut()
                    .find(|entry| entry.reference().is_same(&reference))
                {
                    entry.fingerprint.clear();
                }
            }
        }
    }
}

fn reference(object: &Value) -> Reference {
    Reference::of(object).unwrap_or_else(|| Reference::new("", "", "", ""))
}

fn of_object(object: &Value, error: &CallError) -> Failure {
    Failure::of_call(&reference(object), error)
}
