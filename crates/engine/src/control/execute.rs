//! Carries out the changes a controller decided on.

use std::time::Duration;

use foreshore_controllers::{Change, EventKind, Kind, Target};
use futures::StreamExt;
use futures::stream;
use http::Method;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use serde_json::{Value, json};

use super::announce;
use super::events::Recorder;
use super::kinds::Kinds;
use super::request::{self, Deletion, RequestError};

/// Creations or deletions of one decision under way at once at most: enough to
/// share commits of the store, few enough to leave room for others.
const AT_ONCE: usize = 64;

/// Why changes were given up. All are tried again from a newer view.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CarryOutError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("the view of `{0}` is out of date")]
    Stale(String),
}

impl CarryOutError {
    /// Losing a race against a newer view, or against the end of a namespace, is
    /// normal and not worth a warning.
    pub(crate) fn is_stale(&self) -> bool {
        match self {
            Self::Stale(_) => true,
            Self::Request(error) => {
                matches!(error.code(), Some(404 | 409)) || error.is_namespace_terminating()
            }
        }
    }
}

/// What came of the changes.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// When the controller asked to look again.
    pub(crate) again: Option<Duration>,
    /// The first creation or deletion refused, in the words of the API.
    pub(crate) refusal: Option<CarryOutError>,
    /// Creations of pods that did not happen.
    pub(crate) pods_not_created: usize,
    /// Uids of objects whose deletion did not happen or was not needed.
    pub(crate) not_deleted: Vec<String>,
}

/// Writes to the API in the name of one controller.
#[derive(Clone)]
pub(crate) struct Executor {
    pub(crate) client: Client,
    pub(crate) recorder: Recorder,
    pub(crate) kinds: Kinds,
}

impl Executor {
    pub(crate) fn of(&self, component: &'static str) -> Self {
        Self {
            recorder: self.recorder.of(component),
            ..self.clone()
        }
    }

    /// Carries out `changes` in order, runs of creations and of deletions side
    /// by side, and gives up at the first refusal.
    pub(crate) async fn carry_out(&self, changes: Vec<Change>) -> Outcome {
        let mut outcome = Outcome::default();
        let mut changes = changes.into_iter().peekable();
        while let Some(change) = changes.next() {
            let result = match change {
                Change::Create { .. } => {
                    let mut run = vec![change];
                    while let Some(next) =
                        changes.next_if(|next| matches!(next, Change::Create { .. }))
                    {
                        run.push(next);
                    }
                    self.create_all(run, &mut outcome).await
                }
                Change::Delete { .. } => {
                    let mut run = vec![change];
                    while let Some(next) =
                        changes.next_if(|next| matches!(next, Change::Delete { .. }))
                    {
                        run.push(next);
                    }
                    self.delete_all(run, &mut outcome).await
                }
                Change::Requeue { after } => {
                    let earlier = outcome.again.map_or(after, |again| again.min(after));
                    outcome.again = Some(earlier);
                    Ok(())
                }
                other => self.single(other).await,
            };
            if let Err(error) = result {
                outcome.refusal = Some(error);
                break;
            }
        }
        for rest in changes {
            match rest {
                Change::Create { kind, .. } if kind.kind == "Pod" => outcome.pods_not_created += 1,
                Change::Delete { uid, .. } => outcome.not_deleted.push(uid),
                _ => {}
            }
        }
        outcome
    }

    async fn single(&self, change: Change) -> Result<(), CarryOutError> {
        match change {
            Change::Patch { target, part, body } => {
                request::merge_patch(&self.client, &target, part, &body).await?;
            }
            Change::ConfirmLive { target, uid } => {
                let object = request::read(&self.client, &target).await?;
                let meta = &object["metadata"];
                if meta["uid"] != json!(uid) || meta.get("deletionTimestamp").is_some() {
                    return Err(CarryOutError::Stale(target.name));
                }
            }
            Change::ConfirmGone { target, uid } => match request::read(&self.client, &target).await
            {
                Ok(object) if object["metadata"]["uid"] == json!(uid) => {
                    return Err(CarryOutError::Stale(target.name));
                }
                Ok(_) => {}
                Err(error) if error.code() == Some(404) => {}
                Err(error) => return Err(error.into()),
            },
            Change::FinalizeNamespace { target, uid } => self.finalize(&target, &uid).await?,
            Change::Event {
                regarding,
                kind,
                reason,
                message,
            } => {
                self.recorder.record(&regarding, kind, reason, message);
            }
            Change::Create { .. } | Change::Delete { .. } | Change::Requeue { .. } => {
                unreachable!("handled in runs by `carry_out`")
            }
        }
        Ok(())
    }

    /// Creates in batches of 1, 2, 4 …: if the API refuses the first, hundreds
    /// of further refusals would teach nobody anything.
    async fn create_all(
        &self,
        changes: Vec<Change>,
        outcome: &mut Outcome,
    ) -> Result<(), CarryOutError> {
        let mut left = changes;
        let mut batch = 1;
        while !left.is_empty() {
            let rest = left.split_off(batch.min(left.len()));
            let results: Vec<_> = stream::iter(left)
                .map(|change| async { (is_pod(&change), self.create(change).await) })
                .buffer_unordered(AT_ONCE)
                .collect()
                .await;
            left = rest;
            batch *= 2;
            let mut refusal = None;
            for (is_pod, result) in results {
                if let Err(error) = result {
                    outcome.pods_not_created += usize::from(is_pod);
                    refusal.get_or_insert(error);
                }
            }
            if let Some(error) = refusal {
                outcome.pods_not_created += left.iter().filter(|change| is_pod(change)).count();
                return Err(error);
            }
        }
        Ok(())
    }

    async fn create(&self, change: Change) -> Result<(), CarryOutError> {
        let Change::Create {
            kind,
            namespace,
            body,
            announce,
        } = change
        else {
            unreachable!("only creations are in a run of creations")
        };
        let result = request::create(&self.client, &kind, namespace.as_deref(), &body).await;
        if let Some(regarding) = announce {
            let name = body["metadata"]["name"].as_str().unwrap_or_default();
            self.announce_creation(&regarding, &kind, name, &result);
        }
        result?;
        Ok(())
    }

    fn announce_creation(
        &self,
        regarding: &ObjectReference,
        kind: &Kind,
        name: &str,
        result: &Result<Value, RequestError>,
    ) {
        match result {
            Ok(created) => {
                let name = created["metadata"]["name"].as_str().unwrap_or_default();
                let message = announce::created(regarding, kind, name);
                self.recorder
                    .record(regarding, EventKind::Normal, "SuccessfulCreate", message);
            }
            Err(error) if error.is_namespace_terminating() => {}
            // It was made before, and that was announced.
            Err(error) if error.code() == Some(409) => {}
            Err(error) => {
                let message = announce::not_created(regarding, kind, name, &error.message());
                self.recorder
                    .record(regarding, EventKind::Warning, "FailedCreate", message);
            }
        }
    }

    async fn delete_all(
        &self,
        changes: Vec<Change>,
        outcome: &mut Outcome,
    ) -> Result<(), CarryOutError> {
        let results: Vec<_> = stream::iter(changes)
            .map(|change| self.delete(change))
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let mut refusal = None;
        for (uid, result) in results {
            match result {
                Ok(true) => {}
                Ok(false) => outcome.not_deleted.push(uid),
                Err(error) => {
                    outcome.not_deleted.push(uid);
                    refusal.get_or_insert(error);
                }
            }
        }
        refusal.map_or(Ok(()), Err)
    }

    /// Returns the uid, and whether something was there to delete.
    async fn delete(&self, change: Change) -> (String, Result<bool, CarryOutError>) {
        let Change::Delete {
            target,
            uid,
            resource_version,
            propagation,
            grace_seconds,
            announce,
        } = change
        else {
            unreachable!("only deletions are in a run of deletions")
        };
        let deletion = Deletion {
            uid: &uid,
            resource_version: resource_version.as_deref(),
            propagation,
            grace_seconds,
        };
        let result = request::delete(&self.client, &target, &deletion).await;
        let (result, told) = match result {
            Ok(_) => (
                Ok(true),
                Some((EventKind::Normal, "SuccessfulDelete", None)),
            ),
            Err(error) if error.code() == Some(404) => (Ok(false), None),
            Err(error) => {
                let told = (EventKind::Warning, "FailedDelete", Some(error.message()));
                (Err(error.into()), Some(told))
            }
        };
        if let (Some(regarding), Some((kind, reason, error))) = (announce, told) {
            let message = announce::deleted(&regarding, &target, error.as_deref());
            self.recorder.record(&regarding, kind, reason, message);
        }
        (uid, result)
    }

    /// Asks the API, not a cache, whether the namespace is empty, then lets it go.
    async fn finalize(&self, target: &Target, uid: &str) -> Result<(), CarryOutError> {
        for kind in self.kinds.namespaced() {
            if request::is_any_left(&self.client, &kind, &target.name).await? {
                return Err(CarryOutError::Stale(format!(
                    "{} in {}",
                    kind.plural, target.name
                )));
            }
        }
        let mut namespace = match request::read(&self.client, target).await {
            Err(error) if error.code() == Some(404) => return Ok(()),
            other => other?,
        };
        if namespace["metadata"]["uid"] != json!(uid) {
            return Err(CarryOutError::Stale(target.name.clone()));
        }
        if let Some(finalizers) = namespace["spec"]["finalizers"].as_array_mut() {
            finalizers.retain(|finalizer| finalizer != "kubernetes");
        }
        request::subresource(&self.client, Method::PUT, target, "finalize", &namespace).await?;
        Ok(())
    }
}

fn is_pod(change: &Change) -> bool {
    matches!(change, Change::Create { kind, .. } if kind.kind == "Pod")
}
