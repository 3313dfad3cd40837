//! Creating an object.

use foreshore_engine_store::{Expect, Op};
use serde_json::Value;

use crate::body;
use crate::call::Call;
use crate::core::{Core, generated_name, new_uid};
use crate::object;
use crate::reply::{Content, Reply};
use crate::status::{Answer, Failure};
use crate::strategy;
use crate::write::{commit_failure, normalize, record_owners, refuse_invalid, schema_causes};

/// Names tried when a generated one is taken.
const NAME_TRIES: usize = 8;

/// Answers a POST to a collection.
pub(crate) async fn create(core: &Core, call: &Call) -> Answer<Reply> {
    let (value, warnings) = body::read_object(call)?;
    Ok(create_value(core, call, value).await?.warn(warnings))
}

/// Creates `value`, an object of the call's kind as somebody sent it.
pub(crate) async fn create_value(core: &Core, call: &Call, mut value: Value) -> Answer<Reply> {
    place(call, &mut value)?;
    normalize(&call.entry, &mut value);
    let value = record_owners(call, None, &value)?;
    finish(core, call, value).await
}

/// Creates an object whose managed fields are settled already, as apply does.
pub(crate) async fn finish(core: &Core, call: &Call, value: Value) -> Answer<Reply> {
    let dry_run = call.dry_run()?;
    let no_effect = strategy::warnings(&call.entry, &value);
    let prefix = object::text(&value, "/metadata/generateName").to_owned();
    let generated = object::name(&value).is_empty() && !prefix.is_empty();
    let mut tries = 0;
    loop {
        tries += 1;
        let mut value = value.clone();
        if generated {
            object::metadata_mut(&mut value).insert("name".into(), generated_name(&prefix).into());
        }
        match create_once(core, call, value, dry_run).await {
            Err(failure)
                if generated && failure.reason == "AlreadyExists" && tries < NAME_TRIES => {}
            Ok(reply) => return Ok(reply.warn(no_effect)),
            Err(failure) => return Err(failure),
        }
    }
}

/// Puts the object where the path says, or refuses one that says otherwise.
pub(crate) fn place(call: &Call, value: &mut Value) -> Answer<()> {
    let given = object::text(value, "/metadata/namespace");
    let wanted = call.path.namespace.as_str();
    let namespaced = call.entry.resource.namespaced;
    if !namespaced && !given.is_empty() {
        // A cluster-wide object has none, whatever the sender believes.
        object::metadata_mut(value).remove("namespace");
        return Ok(());
    }
    if namespaced && !given.is_empty() && given != wanted {
        return Err(Failure::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    if namespaced {
        if wanted.is_empty() {
            return Err(Failure::bad_request(
                "an empty namespace may not be set during creation",
            ));
        }
        object::metadata_mut(value).insert("namespace".into(), wanted.into());
    }
    Ok(())
}

async fn create_once(core: &Core, call: &Call, mut value: Value, dry_run: bool) -> Answer<Reply> {
    let entry = &call.entry;
    let name = object::name(&value).to_owned();
    if !object::text(&value, "/metadata/resourceVersion").is_empty() {
        return Err(Failure::bad_request(
            "resourceVersion should not be set on objects to be created",
        ));
    }
    let metadata = object::metadata_mut(&mut value);
    for field in [
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
        "generation",
    ] {
        metadata.remove(field);
    }
    metadata.insert("uid".into(), new_uid().into());
    metadata.insert("creationTimestamp".into(), object::time(call.now));
    if entry.custom().is_some_and(|custom| custom.terminating) {
        return Err(Failure::method_not_allowed());
    }
    if entry.resource.namespaced {
        strategy::check_namespace(core, call, &name)?;
    }
    let _allocating = core.allocating(entry).await;
    strategy::prepare_create(core, call, &mut value)?;
    normalize(entry, &mut value);
    let mut causes = strategy::validate_create(entry, &value);
    causes.extend(schema_causes(entry, &value));
    refuse_invalid(entry, &value, causes)?;
    let key = entry.key(&call.path.namespace, &name);
    if dry_run {
        if core.store.get(&key).is_some() {
            return Err(Failure::already_exists(entry.named(), &name));
        }
        // What its stored form cannot hold, or adds, shows in the answer too.
        let shown = entry.present_value(entry.stored_value(value));
        return Ok(Reply::created(Content::Object(shown)));
    }
    let stored = entry.stored_value(value);
    let op = Op::Put {
        key,
        expect: Expect::Absent,
        body: object::encode(&stored),
    };
    match core.store.write(op).await {
        Ok(stored) => Ok(Reply::created(Content::Stored(stored))),
        Err(error) => Err(commit_failure(call, &name, &error)),
    }
}
