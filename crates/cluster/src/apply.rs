//! Writing, reading and removing objects.

use http::Method;
use serde_json::{Value, json};

use crate::FIELD_MANAGER;
use crate::call::{Call, Cluster, escaped};
use crate::error::CallError;
use crate::reference::Reference;

/// What an apply may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApplyMode {
    /// Take over fields that another manager owns.
    Force,
    /// Only say what would become of it, taking fields over.
    DryRun,
    /// Refuse when another manager owns a field.
    Polite,
}

/// An object as the server has it after an apply.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    pub object: Value,
    /// Whether the object did not exist before.
    pub created: bool,
}

impl Applied {
    pub fn resource_version(&self) -> &str {
        self.object
            .pointer("/metadata/resourceVersion")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    pub fn uid(&self) -> &str {
        self.object
            .pointer("/metadata/uid")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

/// What became of a request to remove an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// It is gone, or will be once its finalizers are done.
    Accepted,
    /// It was not there.
    Absent,
    /// An object of that name exists, but not the one that was meant.
    OtherUid,
}

impl Cluster {
    /// Applies an object by server-side apply as field manager `foreshore`.
    ///
    /// Unknown fields are refused by the server, not dropped.
    pub async fn apply(&self, object: &Value, mode: ApplyMode) -> Result<Applied, CallError> {
        let reference = Reference::of(object).ok_or(CallError::Incomplete {
            missing: "`apiVersion`, `kind` or `metadata.name`",
        })?;
        let resource = self
            .resource(&reference.api_version, &reference.kind)
            .await?;
        if resource.namespaced && reference.namespace.is_empty() {
            return Err(CallError::Incomplete {
                missing: "`metadata.namespace`",
            });
        }
        let force = mode != ApplyMode::Polite;
        let dry_run = if mode == ApplyMode::DryRun {
            "&dryRun=All"
        } else {
            ""
        };
        let call = Call {
            method: Method::PATCH,
            path: format!(
                "{}?fieldManager={FIELD_MANAGER}&fieldValidation=Strict&force={force}{dry_run}",
                resource.path(&reference)
            ),
            content_type: "application/apply-patch+yaml",
            body: object.to_string().into_bytes(),
        };
        let answer = self.call(&call).await?;
        let created = answer.code == 201;
        Ok(Applied {
            object: without_bookkeeping(answer.json("apply")?),
            created,
        })
    }

    /// Returns an object, or `None` if the server says that it does not exist.
    pub async fn get(&self, reference: &Reference) -> Result<Option<Value>, CallError> {
        let resource = self
            .resource(&reference.api_version, &reference.kind)
            .await?;
        match self.call(&Call::get(resource.path(reference))).await {
            Ok(answer) => Ok(Some(without_bookkeeping(answer.json("get")?))),
            Err(CallError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns all objects of a kind in a namespace that match a label selector.
    pub async fn list(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        selector: &str,
    ) -> Result<Vec<Value>, CallError> {
        let resource = self.resource(api_version, kind).await?;
        let mut objects = Vec::new();
        let mut next = String::new();
        loop {
            let path = format!(
                "{}?limit=500&labelSelector={}&continue={}",
                resource.collection(namespace),
                escaped(selector),
                escaped(&next)
            );
            let mut answer = self.call(&Call::get(path)).await?.json("list")?;
            let Value::Array(items) = answer["items"].take() else {
                return Err(CallError::Unreadable {
                    what: format!("list of {kind}"),
                    cause: "it has no items".into(),
                });
            };
            objects.extend(items.into_iter().map(|mut item| {
                // Lists leave out what every item has in common.
                item["apiVersion"] = json!(api_version);
                item["kind"] = json!(kind);
                without_bookkeeping(item)
            }));
            answer
                .pointer("/metadata/continue")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .clone_into(&mut next);
            if next.is_empty() {
                return Ok(objects);
            }
        }
    }

    /// Removes an object and, in the background, what it owns.
    ///
    /// With a `uid` only that very object is removed, not a later one of the same name.
    pub async fn delete(
        &self,
        reference: &Reference,
        uid: Option<&str>,
    ) -> Result<Deleted, CallError> {
        let resource = self
            .resource(&reference.api_version, &reference.kind)
            .await?;
        let mut options =
            json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"});
        if let Some(uid) = uid {
            options["preconditions"] = json!({"uid": uid});
        }
        let call = Call {
            method: Method::DELETE,
            path: resource.path(reference),
            content_type: "application/json",
            body: options.to_string().into_bytes(),
        };
        match self.call(&call).await {
            Ok(_) => Ok(Deleted::Accepted),
            Err(CallError::NotFound { .. }) => Ok(Deleted::Absent),
            Err(CallError::Conflict { .. }) if uid.is_some() => Ok(Deleted::OtherUid),
            Err(error) => Err(error),
        }
    }

    /// Sets the replicas of a workload through its `scale` subresource.
    pub async fn scale(&self, reference: &Reference, replicas: u32) -> Result<(), CallError> {
        let resource = self
            .resource(&reference.api_version, &reference.kind)
            .await?;
        let call = Call {
            method: Method::PATCH,
            path: format!(
                "{}/scale?fieldManager={FIELD_MANAGER}",
                resource.path(reference)
            ),
            content_type: "application/merge-patch+json",
            body: json!({"spec": {"replicas": replicas}})
                .to_string()
                .into_bytes(),
        };
        self.call(&call).await.map(drop)
    }
}

/// Field ownership is the server's own record and often the larger part of an object.
pub(crate) fn without_bookkeeping(mut object: Value) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    object
}
