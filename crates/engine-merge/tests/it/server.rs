//! The least of an API server around the functions under test: one object, the
//! order of steps the real one has, no validation.

use foreshore_engine_merge::{
    ApplyError, ApplyRequest, JsonPatchError, Manager, StrategicError, UpdateRequest, apply,
    json_patch, merge_patch, reset_fields, settle_timestamps, strategic_merge, update,
};
use foreshore_engine_schema::{Resource, Schema, TypeRef, apply_defaults, conform, defaults};
use jiff::Timestamp;
use serde_json::{Value, json};

/// Why a request was refused.
#[derive(Debug)]
pub(crate) enum Refusal {
    Apply(ApplyError),
    Strategic(StrategicError),
    Json(JsonPatchError),
}

/// What a request does.
pub(crate) enum Verb {
    Create,
    Update,
    Apply { force: bool },
    Merge,
    Strategic,
    Json,
}

pub(crate) struct Request<'a> {
    pub(crate) verb: Verb,
    pub(crate) manager: Manager,
    pub(crate) body: &'a Value,
    pub(crate) now: Timestamp,
}

pub(crate) struct Server {
    resource: &'static Resource,
    type_ref: TypeRef<'static>,
    pub(crate) live: Option<Value>,
}

impl Server {
    pub(crate) fn new(group: &str, version: &str, plural: &str) -> Self {
        let schema = Schema::builtin();
        let resource = schema.resource(group, version, plural).unwrap();
        Self {
            resource,
            type_ref: schema.type_of(resource),
            live: None,
        }
    }

    pub(crate) fn handle(&mut self, request: &Request<'_>) -> Result<(), Refusal> {
        let status = request.manager.subresource == "status";
        let reset = reset_fields(self.resource, &request.manager.subresource);
        let live = self.live.as_ref();
        let creates = live.is_none();
        let null = Value::Null;
        let target = live.unwrap_or(&null);
        let mut new = match &request.verb {
            Verb::Create | Verb::Update => request.body.clone(),
            Verb::Merge => merge_patch(target, request.body),
            Verb::Strategic => {
                strategic_merge(self.type_ref, target, request.body).map_err(Refusal::Strategic)?
            }
            Verb::Json => json_patch(target, request.body).map_err(Refusal::Json)?,
            Verb::Apply { force } => {
                let request = ApplyRequest {
                    type_ref: self.type_ref,
                    live,
                    config: request.body,
                    manager: &request.manager,
                    now: request.now,
                    force: *force,
                    reset: &reset,
                };
                apply(request).map_err(Refusal::Apply)?
            }
        };
        conform(self.type_ref, &mut new);
        apply_defaults(self.resource, &mut new);
        new["metadata"]["namespace"] = json!("default");
        if let Some(live) = live {
            for field in ["uid", "creationTimestamp"] {
                new["metadata"][field] = live["metadata"][field].clone();
            }
        }
        if !matches!(request.verb, Verb::Apply { .. }) {
            new = update(UpdateRequest {
                type_ref: self.type_ref,
                live,
                new: &new,
                manager: &request.manager,
                now: request.now,
                reset: &reset,
            });
        }
        self.keep(status, &mut new);
        if creates {
            new["metadata"]["uid"] = json!("u");
            new["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
            if self.resource.kind == "Pod" {
                defaults::admit_pod(&mut new);
                defaults::complete_created_pod(&mut new);
            }
        } else {
            settle_timestamps(target, &mut new);
        }
        conform(self.type_ref, &mut new);
        self.live = Some(new);
        Ok(())
    }

    /// Puts back what this endpoint does not write.
    fn keep(&self, status: bool, new: &mut Value) {
        let live = self.live.clone().unwrap_or(Value::Null);
        if !self
            .resource
            .subresources
            .iter()
            .any(|subresource| subresource.name == "status")
        {
            return;
        }
        if status {
            new["spec"] = live["spec"].clone();
            if self.resource.kind == "Deployment" {
                new["metadata"]["labels"] = live["metadata"]["labels"].clone();
            }
        } else {
            new["status"] = live["status"].clone();
        }
    }
}
