//! Everything that changes an object goes through here: create, update, delete.

pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod patch;
pub(crate) mod update;

use foreshore_engine_merge::{Manager, UpdateRequest, reset_fields};
use foreshore_engine_schema::{check_required, conform, defaults};
use foreshore_engine_store::{Body, Expect, Object, Op};
use serde_json::Value;

use crate::call::Call;
use crate::catalog::Entry;
use crate::status::{Answer, Cause, Failure};
use crate::strategy;

/// Brings a value into the form in which the real server would hold it.
pub(crate) fn normalize(entry: &Entry, value: &mut Value) {
    let Some(custom) = entry.custom() else {
        conform(entry.type_ref(), value);
        defaults::apply_defaults(&entry.resource, value);
        return;
    };
    if let (Some(type_ref), Some(metadata)) = (
        entry.type_ref().child("metadata"),
        value.get_mut("metadata"),
    ) {
        conform(type_ref, metadata);
    }
    custom.version.prune(value);
    custom.version.fill(value);
}

/// What the schema says against a finished object.
pub(crate) fn schema_causes(entry: &Entry, value: &Value) -> Vec<Cause> {
    let found = match entry.custom() {
        None => check_required(entry.type_ref(), value),
        Some(custom) => custom.version.check(value),
    };
    let found = found.into_iter();
    found
        .filter(|violation| !strategy::speaks_for_itself(entry, &violation.path))
        .map(Cause::from)
        .collect()
}

/// Refuses when anything is wrong; a field is blamed once.
pub(crate) fn refuse_invalid(entry: &Entry, value: &Value, causes: Vec<Cause>) -> Answer<()> {
    let mut distinct: Vec<Cause> = Vec::with_capacity(causes.len());
    for cause in causes {
        let known = |other: &Cause| other.field == cause.field && other.reason == cause.reason;
        if !distinct.iter().any(known) {
            distinct.push(cause);
        }
    }
    if distinct.is_empty() {
        return Ok(());
    }
    Err(entry.invalid(crate::object::name(value), distinct))
}

/// The write that follows what is stored: its next state, or its end with what it last was.
pub(crate) fn successor(stored: &Object, gone: bool, body: Body) -> Op {
    let key = stored.key.clone();
    let expect = Expect::Revision(stored.revision);
    if gone {
        Op::Delete {
            key,
            expect,
            last: body,
        }
    } else {
        Op::Put { key, expect, body }
    }
}

/// Who writes, as field ownership records it.
pub(crate) fn manager(call: &Call) -> Answer<Manager> {
    Ok(Manager {
        name: call.manager()?,
        api_version: call.entry.api_version.clone(),
        subresource: call.path.subresource.clone(),
    })
}

/// Records who owns which field after a write that is not an apply.
pub(crate) fn record_owners(call: &Call, live: Option<&Value>, new: &Value) -> Answer<Value> {
    let manager = manager(call)?;
    let reset = reset_fields(&call.entry.resource, &call.path.subresource);
    Ok(foreshore_engine_merge::update(UpdateRequest {
        type_ref: call.entry.type_ref(),
        live,
        new,
        manager: &manager,
        now: call.now,
        reset: &reset,
    }))
}

/// The refusal for a failed commit.
pub(crate) fn commit_failure(
    call: &Call,
    name: &str,
    error: &foreshore_engine_store::CommitError,
) -> Failure {
    use foreshore_engine_store::CommitError;
    let named = call.entry.named();
    match error {
        CommitError::Exists { .. } => Failure::already_exists(named, name),
        CommitError::Missing { .. } => Failure::not_found(named, name),
        CommitError::Changed { .. } => Failure::modified(named, name),
        CommitError::Write(cause) => Failure::internal(format!("{error}: {cause}")),
        CommitError::Closed => Failure::unavailable("the server is shutting down"),
    }
}
