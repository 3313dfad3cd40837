//! Changing an object: read, change, check, compare-and-swap, and again if somebody was faster.

use std::sync::Arc;

use foreshore_engine_merge::settle_timestamps;
use foreshore_engine_store::{CommitError, Object};
use serde_json::Value;

use crate::body;
use crate::call::Call;
use crate::core::Core;
use crate::object;
use crate::reply::{Content, Reply};
use crate::status::{Answer, Failure};
use crate::strategy;
use crate::write::create::{create_value, place};
use crate::write::{
    commit_failure, normalize, record_owners, refuse_invalid, schema_causes, successor,
};

/// Attempts before a writer without a version of its own gives up.
const TRIES: usize = 64;

/// What a change makes of the object that is there.
pub(crate) struct Changed {
    pub(crate) value: Value,
    /// Managed fields are settled already.
    pub(crate) owned: bool,
    /// The writer named the version it saw; then losing a race is an error.
    pub(crate) conditional: bool,
}

/// Answers a PUT.
pub(crate) async fn replace(core: &Core, call: &Call) -> Answer<Reply> {
    let (mut value, warnings) = body::read_object(call)?;
    place(call, &mut value)?;
    check_name(call, &value)?;
    normalize(&call.entry, &mut value);
    let key = call.entry.key(&call.path.namespace, &call.path.name);
    let missing = core.store.get(&key).is_none();
    if missing && call.path.subresource.is_empty() && strategy::creates_on_update(&call.entry) {
        let wanted = object::text(&value, "/metadata/resourceVersion");
        if matches!(wanted, "" | "0") {
            object::metadata_mut(&mut value).remove("resourceVersion");
            return Ok(create_value(core, call, value).await?.warn(warnings));
        }
    }
    let version = object::text(&value, "/metadata/resourceVersion").to_owned();
    let conditional = !matches!(version.as_str(), "" | "0");
    if !conditional && strategy::needs_version(&call.entry) {
        let cause = crate::status::Cause::invalid(
            "metadata.resourceVersion",
            &Value::from(0),
            "must be specified for an update",
        );
        if call.entry.custom().is_some() {
            let resource = &call.entry.resource;
            let (group, plural) = (&resource.group, &resource.plural);
            return Err(Failure::invalid(
                group,
                plural,
                &call.path.name,
                vec![cause],
            ));
        }
        return Err(call.entry.invalid(&call.path.name, vec![cause]));
    }
    let reply = change(core, call, |_| {
        Ok(Changed {
            value: value.clone(),
            owned: false,
            conditional,
        })
    });
    Ok(reply.await?.warn(warnings))
}

fn check_name(call: &Call, value: &Value) -> Answer<()> {
    let name = object::name(value);
    if name != call.path.name {
        return Err(Failure::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            call.path.name
        )));
    }
    Ok(())
}

/// Changes the object the call names; `transform` may run several times.
pub(crate) async fn change(
    core: &Core,
    call: &Call,
    transform: impl Fn(&Value) -> Answer<Changed>,
) -> Answer<Reply> {
    let entry = &call.entry;
    let dry_run = call.dry_run()?;
    call.field_validation()?;
    let name = &call.path.name;
    let key = entry.key(&call.path.namespace, name);
    for _ in 0..TRIES {
        let stored = core
            .store
            .get(&key)
            .ok_or_else(|| Failure::not_found(entry.named(), name))?;
        let old = entry.present(&stored)?;
        let _allocating = core.allocating(entry).await;
        let changed = transform(&old)?;
        let conditional = changed.conditional;
        let value = match finish(core, call, &old, changed)? {
            Finished::Same => {
                return Ok(Reply::ok(Content::Stored(stored)).warn(strategy::warnings(entry, &old)));
            }
            Finished::Changed(value) => value,
        };
        let no_effect = strategy::warnings(entry, &value);
        if dry_run {
            let shown = entry.present_value(entry.stored_value(value));
            return Ok(Reply::ok(Content::Object(shown)).warn(no_effect));
        }
        match commit(core, call, &stored, &old, value).await {
            Ok(stored) => return Ok(Reply::ok(Content::Stored(stored)).warn(no_effect)),
            Err(CommitError::Changed { .. }) if !conditional => {}
            Err(error) => return Err(commit_failure(call, name, &error)),
        }
    }
    Err(Failure::modified(entry.named(), name))
}

enum Finished {
    /// Nothing would change.
    Same,
    Changed(Value),
}

fn finish(core: &Core, call: &Call, old: &Value, changed: Changed) -> Answer<Finished> {
    let entry = &call.entry;
    let Changed {
        mut value, owned, ..
    } = changed;
    check_identity(call, &value, old)?;
    let metadata = object::metadata_mut(&mut value);
    for field in [
        "name",
        "namespace",
        "generateName",
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "selfLink",
        "resourceVersion",
    ] {
        let before = old.pointer(&format!("/metadata/{field}")).cloned();
        object::set(metadata, field, before);
    }
    normalize(entry, &mut value);
    let mut value = if owned {
        value
    } else {
        record_owners(call, Some(old), &value)?
    };
    strategy::prepare_update(core, call, &mut value, old)?;
    normalize(entry, &mut value);
    if settle_timestamps(old, &mut value) && !is_finished(call, old, &value) {
        return Ok(Finished::Same);
    }
    let mut causes = strategy::validate_update(call, &value, old);
    causes.extend(schema_causes(entry, &value));
    refuse_invalid(entry, &value, causes)?;
    Ok(Finished::Changed(value))
}

/// Refuses a change meant for another version or another object of the same name.
fn check_identity(call: &Call, value: &Value, old: &Value) -> Answer<()> {
    let named = call.entry.named();
    let name = &call.path.name;
    let (wanted, found) = (object::uid(value), object::uid(old));
    if !wanted.is_empty() && wanted != found {
        let why = format!(
            "Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}"
        );
        return Err(Failure::conflict(named, name, &why));
    }
    let version = |value| object::text(value, "/metadata/resourceVersion");
    let wanted = version(value);
    if !matches!(wanted, "" | "0") && wanted != version(old) {
        if wanted.parse::<u64>().is_err() {
            return Err(Failure::bad_request(format!(
                "resourceVersion: Invalid value: {wanted:?}: must be a number"
            )));
        }
        return Err(Failure::modified(named, name));
    }
    if name != object::name(value) {
        return Err(Failure::bad_request(format!(
            "the name of the object ({}) does not match the name on the URL ({name})",
            object::name(value)
        )));
    }
    Ok(())
}

/// Whether the object is to go now that nothing holds it any more.
pub(crate) fn is_finished(call: &Call, old: &Value, value: &Value) -> bool {
    let grace = old
        .pointer("/metadata/deletionGracePeriodSeconds")
        .and_then(Value::as_i64);
    let held = value.pointer("/spec/finalizers").and_then(Value::as_array);
    let held = call.entry.is("", "namespaces") && held.is_some_and(|held| !held.is_empty());
    object::is_deleting(old) && grace == Some(0) && object::finalizers(value).is_empty() && !held
}

async fn commit(
    core: &Core,
    call: &Call,
    stored: &Arc<Object>,
    old: &Value,
    value: Value,
) -> Result<Arc<Object>, CommitError> {
    let gone = is_finished(call, old, &value);
    let body = object::encode(&call.entry.stored_value(value));
    core.store.write(successor(stored, gone, body)).await
}
