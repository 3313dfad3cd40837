//! Keeps the API's idea of the pod up to date.

use std::time::Duration;

use foreshore_model::chain;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use tokio_util::sync::CancellationToken;

use super::{News, Worker};
use crate::pod::backoff::later;
use crate::pod::{fields, status};

/// How long the API may take to accept a status.
const LIMIT: Duration = Duration::from_secs(10);
/// How soon a status is sent again after a failure.
const AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(1);

/// What was told to the API, and what is on its way.
#[derive(Debug, Default)]
pub(super) struct Publishing {
    told: Option<PodStatus>,
    is_under_way: bool,
    retry_at: Option<Timestamp>,
}

impl Worker {
    /// Sends the status if it has changed; answers when to look again.
    pub(super) fn publish(&mut self, now: Timestamp) -> Option<Timestamp> {
        if self.is_gone || self.publishing.is_under_way {
            return None;
        }
        if let Some(at) = self.publishing.retry_at.filter(|at| *at > now) {
            return Some(at);
        }
        let status = self.status(now);
        if self.publishing.told.as_ref() == Some(&status) {
            return None;
        }
        self.publishing.is_under_way = true;
        let (api, pod) = (self.api(), self.pod.clone());
        self.spawn(async move {
            let sent = send(&api, &pod, &status).await;
            Some(News::Published(sent.map(|()| Box::new(status))))
        });
        None
    }

    pub(super) fn hear_published(
        &mut self,
        outcome: Result<Box<PodStatus>, String>,
        now: Timestamp,
    ) {
        self.publishing.is_under_way = false;
        match outcome {
            Ok(status) => {
                self.publishing.told = Some(*status);
                self.publishing.retry_at = None;
            }
            Err(error) => {
                let (namespace, name) = (fields::namespace(&self.pod), fields::name(&self.pod));
                tracing::debug!(
                    error,
                    namespace,
                    name,
                    "status was not accepted; will retry"
                );
                self.publishing.retry_at = Some(later(now, AGAIN_AFTER));
            }
        }
    }

    fn status(&self, now: Timestamp) -> PodStatus {
        let previous = self.publishing.told.as_ref().or(self.pod.status.as_ref());
        status::status(&self.pod, &self.state, &self.place(), previous, now)
    }

    fn api(&self) -> Api<Pod> {
        Api::namespaced(
            self.context.options.client.clone(),
            fields::namespace(&self.pod),
        )
    }

    /// Tells how the pod ended and deletes it; `false` if the node shuts down
    /// before the API has accepted that.
    pub(super) async fn remove_from_api(&self, shutdown: &CancellationToken) -> bool {
        let api = self.api();
        let last = self.status(self.context.now());
        if let Err(error) = send(&api, &self.pod, &last).await {
            tracing::debug!(error, "last status was not accepted");
        }
        let parameters = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(Preconditions {
                uid: self.pod.metadata.uid.clone(),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        loop {
            let deleted =
                tokio::time::timeout(LIMIT, api.delete(fields::name(&self.pod), &parameters)).await;
            match deleted {
                Ok(Ok(_)) => return true,
                // Gone already, or somebody else by the same name.
                Ok(Err(kube::Error::Api(status))) if status.code == 404 || status.code == 409 => {
                    return true;
                }
                Ok(Err(error)) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "pod was not deleted; will retry"
                ),
                Err(_elapsed) => tracing::warn!("pod was not deleted in time; will retry"),
            }
            tokio::select! {
                () = shutdown.cancelled() => return false,
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
        }
    }
}

/// Patches the status. The uid goes with it, so that a pod of the same name
/// that took this one's place is left alone.
async fn send(api: &Api<Pod>, pod: &Pod, status: &PodStatus) -> Result<(), String> {
    let patch =
        serde_json::json!({ "metadata": { "uid": pod.metadata.uid }, "status": full(status) });
    let name = fields::name(pod);
    let parameters = PatchParams::default();
    let patch = Patch::Strategic(patch);
    let sent = api.patch_status(name, &parameters, &patch);
    match tokio::time::timeout(LIMIT, sent).await {
        Ok(Ok(_)) => Ok(()),
        // There is nothing to tell about any more.
        Ok(Err(kube::Error::Api(answer))) if answer.code == 404 => Ok(()),
        Ok(Err(error)) => Err(chain(&error)),
        Err(_elapsed) => Err(format!("no answer within {LIMIT:?}")),
    }
}

/// In a patch a field that is left out stays as it was; those that can go
/// away again are named.
fn full(status: &PodStatus) -> serde_json::Value {
    let mut value = serde_json::to_value(status).expect("a status is JSON");
    if let Some(fields) = value.as_object_mut() {
        for name in ["reason", "message"] {
            fields.entry(name).or_insert(serde_json::Value::Null);
        }
    }
    for condition in value
        .get_mut("conditions")
        .and_then(|list| list.as_array_mut())
        .into_iter()
        .flatten()
    {
        if let Some(fields) = condition.as_object_mut() {
            for name in ["reason", "message"] {
                fields.entry(name).or_insert(serde_json::Value::Null);
            }
        }
    }
    value
}
