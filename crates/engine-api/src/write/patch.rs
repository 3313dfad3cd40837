//! The four kinds of patch.

use foreshore_engine_merge::{
    ApplyError, ApplyRequest, JsonPatchError, apply, json_patch, merge_patch, reset_fields,
    strategic_merge,
};
use foreshore_engine_schema::{TypeRef, check_fields};
use foreshore_model::chain;
use serde_json::Value;

use crate::body::{self, Decoded};
use crate::call::Call;
use crate::core::Core;
use crate::go;
use crate::handler;
use crate::object;
use crate::reply::Reply;
use crate::status::{Answer, Cause, Failure};
use crate::write::create;
use crate::write::manager;
use crate::write::update::{Changed, change};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PatchKind {
    Json,
    Merge,
    Strategic,
    Apply,
}

/// Merging by the rules of built-in types is not for others.
const ACCEPTED_CUSTOM: &str = "application/json-patch+json, application/merge-patch+json, \
                               application/apply-patch+yaml";

impl PatchKind {
    pub(crate) fn of(content_type: &str) -> Answer<Self> {
        match content_type.split(';').next().unwrap_or_default().trim() {
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            "application/strategic-merge-patch+json" => Ok(Self::Strategic),
            "application/apply-patch+yaml" => Ok(Self::Apply),
            _ => Err(Failure::unknown_patch_type()),
        }
    }
}

/// A patch that was read and can be applied to any number of versions.
pub(crate) struct Patch {
    kind: PatchKind,
    body: Value,
    duplicates: Vec<String>,
}

impl Patch {
    pub(crate) fn read(call: &Call) -> Answer<Self> {
        let kind = PatchKind::of(&call.content_type)?;
        if kind == PatchKind::Strategic && call.entry.custom().is_some() {
            return Err(Failure::unsupported_media("", ACCEPTED_CUSTOM));
        }
        if kind == PatchKind::Apply {
            let duplicates = body::decode_json(&call.body)
                .map(|decoded| decoded.duplicates)
                .unwrap_or_default();
            let body = body::decode_yaml(&call.body)?;
            return Ok(Self {
                kind,
                body,
                duplicates,
            });
        }
        if call.query.get("force").is_some() {
            return Err(bad_patch_option(Cause::forbidden(
                "force",
                "may not be specified for non-apply patch",
            )));
        }
        let Decoded { value, duplicates } = body::decode_json(&call.body)?;
        let fits = match kind {
            PatchKind::Json => value.is_array(),
            _ => value.is_object(),
        };
        if !fits {
            let wanted = match kind {
                PatchKind::Json => "jsonpatch.Patch",
                _ => "map[string]interface {}",
            };
            return Err(Failure::bad_request(format!(
                "json: cannot unmarshal {} into Go value of type {wanted}",
                go::json_kind(&value)
            )));
        }
        Ok(Self {
            kind,
            body: value,
            duplicates,
        })
    }

    pub(crate) fn kind(&self) -> PatchKind {
        self.kind
    }

    /// Applies a patch of the first three kinds.
    pub(crate) fn apply_to(&self, type_ref: TypeRef<'_>, target: &Value) -> Answer<Value> {
        match self.kind {
            PatchKind::Json => json_patch(target, &self.body).map_err(|error| match error {
                JsonPatchError::Parse(_) => Failure::bad_request(chain(&error)),
                JsonPatchError::TooManyOperations { .. } => Failure::too_long(error.to_string()),
                JsonPatchError::CopiesTooLarge | JsonPatchError::Apply(_) => {
                    // The real server keeps the reason to itself.
                    let mut failure = Failure::invalid("", "", "", vec![]);
                    "the server rejected our request due to an error in our request"
                        .clone_into(&mut failure.message);
                    failure.details = None;
                    failure
                }
            }),
            PatchKind::Merge => Ok(merge_patch(target, &self.body)),
            PatchKind::Strategic => strategic_merge(type_ref, target, &self.body)
                .map_err(|error| Failure::bad_request(chain(&error))),
            PatchKind::Apply => Err(Failure::internal("apply patches are not handled here")),
        }
    }
}

impl Patch {
    /// A strategic patch whose values have the wrong type is invalid itself.
    fn misfit(&self, type_ref: TypeRef<'_>, patched: &Value, failure: Failure) -> Failure {
        let mismatch = check_fields(type_ref, patched).mismatch;
        let Some(mismatch) = mismatch.filter(|_| self.kind == PatchKind::Strategic) else {
            return failure;
        };
        let Some(why) = go::conversion(&mismatch.to_string()) else {
            return failure;
        };
        let shown = Value::from(go::print(&self.body));
        Failure::invalid("", "", "", vec![Cause::invalid("patch", &shown, &why)])
    }
}

fn bad_patch_option(cause: Cause) -> Failure {
    Failure::invalid("meta.k8s.io", "PatchOptions", "", vec![cause])
}

/// Answers a PATCH of an object or its status.
pub(crate) async fn patch(core: &Core, call: &Call) -> Answer<Reply> {
    let patch = Patch::read(call)?;
    if patch.kind == PatchKind::Apply {
        return apply_patch(core, call, patch).await;
    }
    let resource = &call.entry.resource;
    let type_ref = call.entry.type_ref();
    let warnings = std::sync::Mutex::new(Vec::new());
    let reply = change(core, call, |old| {
        let value = patch.apply_to(type_ref, old)?;
        let mut decoded = Decoded {
            value,
            duplicates: patch.duplicates.clone(),
        };
        body::check_kind(&mut decoded.value, &call.entry.api_version, &resource.kind)?;
        let found = body::check(call, type_ref, &resource.kind, &resource.version, &decoded);
        let found = found.map_err(|failure| patch.misfit(type_ref, &decoded.value, failure))?;
        *warnings
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = found;
        Ok(Changed {
            value: decoded.value,
            owned: false,
            conditional: false,
        })
    });
    let reply = reply.await?;
    let warnings = warnings
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok(reply.warn(warnings))
}

async fn apply_patch(core: &Core, call: &Call, patch: Patch) -> Answer<Reply> {
    if call.query.get("fieldManager").is_none() {
        let cause = Cause::required("fieldManager", "is required for apply patch");
        return Err(bad_patch_option(cause));
    }
    let resource = &call.entry.resource;
    let mut decoded = Decoded {
        value: patch.body,
        duplicates: patch.duplicates,
    };
    for field in ["apiVersion", "kind"] {
        if object::text(&decoded.value, &format!("/{field}")).is_empty() {
            return Err(Failure::bad_request(format!(
                "Object '{field}' is missing in the patch"
            )));
        }
    }
    body::check_kind(&mut decoded.value, &call.entry.api_version, &resource.kind)?;
    let type_ref = call.entry.type_ref();
    let warnings = body::check(call, type_ref, &resource.kind, &resource.version, &decoded)?;
    let config = decoded.value;
    let name = object::name(&config);
    if !name.is_empty() && name != call.path.name {
        return Err(Failure::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            call.path.name
        )));
    }
    let key = call.entry.key(&call.path.namespace, &call.path.name);
    // Somebody may create or remove the object between the look and the write.
    for _ in 0..4 {
        let creates = core.store.get(&key).is_none() && call.path.subresource.is_empty();
        let reply = if creates {
            handler::authorize(core, &call.user, "create", &call.path)?;
            let mut value = apply_config(call, None, &config)?;
            object::metadata_mut(&mut value).insert("name".into(), call.path.name.clone().into());
            create::place(call, &mut value)?;
            crate::write::normalize(&call.entry, &mut value);
            create::finish(core, call, value).await
        } else {
            change(core, call, |old| {
                let value = apply_config(call, Some(old), &config)?;
                Ok(Changed {
                    value,
                    owned: true,
                    conditional: false,
                })
            })
            .await
        };
        match reply {
            Err(failure) if creates && failure.reason == "AlreadyExists" => {}
            Ok(reply) => return Ok(reply.warn(warnings)),
            Err(failure) => return Err(failure),
        }
    }
    Err(Failure::modified(call.entry.named(), &call.path.name))
}

fn apply_config(call: &Call, live: Option<&Value>, config: &Value) -> Answer<Value> {
    let manager = manager(call)?;
    let reset = reset_fields(&call.entry.resource, &call.path.subresource);
    let request = ApplyRequest {
        type_ref: call.entry.type_ref(),
        live,
        config,
        manager: &manager,
        now: call.now,
        force: call.query.flag("force")?,
        reset: &reset,
    };
    apply(request).map_err(|error| match error {
        ApplyError::Conflicts(conflicts) => {
            let message = conflicts.to_string();
            let causes = conflicts.0.into_iter().map(|conflict| Cause {
                reason: "FieldManagerConflict",
                field: conflict.path,
                message: conflict.message,
            });
            Failure::apply_conflict(causes.collect(), message)
        }
        ApplyError::Undeclared { .. } => Failure::untyped(error.to_string()),
        ApplyError::ManagedFieldsInConfig => Failure::bad_request(error.to_string()),
        ApplyError::LiveManagedFields => Failure::internal(error),
    })
}
