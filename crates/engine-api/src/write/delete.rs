//! Deleting: at once, after a grace period, or when the last finalizer is gone.

use foreshore_engine_store::{CommitError, Object};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::body;
use crate::call::{Call, success};
use crate::core::Core;
use crate::definition;
use crate::object;
use crate::reply::{Content, Page, Reply};
use crate::selection::Selection;
use crate::status::{Answer, Cause, Failure};
use crate::strategy;
use crate::write::{commit_failure, successor};

const TRIES: usize = 64;
const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Propagation {
    Background,
    Foreground,
    Orphan,
}

/// How to delete.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeleteOptions {
    pub(crate) grace_seconds: Option<i64>,
    propagation: Option<Propagation>,
    pub(crate) uid: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) dry_run: bool,
}

impl DeleteOptions {
    /// Reads the options from the body, or from the query when there is none.
    pub(crate) fn read(call: &Call) -> Answer<Self> {
        if call.body.iter().all(u8::is_ascii_whitespace) {
            return Self::from_query(call);
        }
        let decoded = body::decode(&call.content_type, &call.body)?;
        let kind = object::text(&decoded.value, "/kind");
        if !matches!(kind, "" | "DeleteOptions") {
            return Err(Failure::bad_request(format!(
                "{kind} cannot be handled as DeleteOptions"
            )));
        }
        let mut options = Self::from_value(&decoded.value)?;
        options.dry_run |= call.dry_run()?;
        Ok(options)
    }

    fn from_query(call: &Call) -> Answer<Self> {
        let mut options = Self {
            grace_seconds: call.query.number("gracePeriodSeconds")?,
            dry_run: call.dry_run()?,
            ..Self::default()
        };
        options.propagation = call
            .query
            .get("propagationPolicy")
            .map(propagation)
            .transpose()?;
        if options.propagation.is_none() && call.query.flag("orphanDependents")? {
            options.propagation = Some(Propagation::Orphan);
        }
        Ok(options)
    }

    pub(crate) fn from_value(value: &Value) -> Answer<Self> {
        let text = |pointer| match object::text(value, pointer) {
            "" => None,
            text => Some(text.to_owned()),
        };
        let policy = text("/propagationPolicy");
        let policy = policy.as_deref().map(propagation).transpose()?;
        let orphans = value.get("orphanDependents").and_then(Value::as_bool);
        if policy.is_some() && orphans.is_some() {
            return Err(invalid_options(Cause::invalid(
                "propagationPolicy",
                &json!(text("/propagationPolicy")),
                "orphanDependents and deletionPropagation cannot be both set",
            )));
        }
        let policy = policy.or(match orphans {
            Some(true) => Some(Propagation::Orphan),
            Some(false) => Some(Propagation::Background),
            None => None,
        });
        let dry_run = value.get("dryRun").and_then(Value::as_array);
        let dry_run = dry_run.is_some_and(|values| !values.is_empty());
        Ok(Self {
            grace_seconds: value.get("gracePeriodSeconds").and_then(Value::as_i64),
            propagation: policy,
            uid: text("/preconditions/uid"),
            version: text("/preconditions/resourceVersion"),
            dry_run,
        })
    }

    /// Jobs leave their pods behind unless told otherwise, and say so.
    fn settle_propagation(&mut self, call: &Call) -> Vec<String> {
        if self.propagation.is_some() || !call.entry.is("batch", "jobs") {
            return vec![];
        }
        self.propagation = Some(Propagation::Orphan);
        vec![
            "child pods are preserved by default when jobs are deleted; set \
             propagationPolicy=Background to remove them or set propagationPolicy=Orphan to \
             suppress this warning"
                .to_owned(),
        ]
    }

    pub(crate) fn check(
        &self,
        call: &Call,
        name: &str,
        stored: &Object,
        value: &Value,
    ) -> Answer<()> {
        let resource = &call.entry.resource;
        let refuse = |why: &str| Failure::precondition(&resource.group, &resource.kind, name, why);
        let found = object::uid(value);
        if let Some(wanted) = self.uid.as_deref().filter(|wanted| *wanted != found) {
            return Err(refuse(&format!(
                "the UID in the precondition ({wanted}) does not match the UID in record \
                 ({found}). The object might have been deleted and then recreated"
            )));
        }
        let found = stored.revision.to_string();
        if let Some(wanted) = self.version.as_deref().filter(|wanted| *wanted != found) {
            return Err(refuse(&format!(
                "the ResourceVersion in the precondition ({wanted}) does not match the \
                 ResourceVersion in record ({found}). The object might have been modified"
            )));
        }
        Ok(())
    }
}

fn propagation(text: &str) -> Answer<Propagation> {
    match text {
        "Background" => Ok(Propagation::Background),
        "Foreground" => Ok(Propagation::Foreground),
        "Orphan" => Ok(Propagation::Orphan),
        other => Err(invalid_options(Cause {
            reason: "FieldValueNotSupported",
            field: "propagationPolicy".into(),
            message: format!(
                "Unsupported value: {other:?}: supported values: \"Foreground\", \"Background\", \
                 \"Orphan\", \"nil\""
            ),
        })),
    }
}

fn invalid_options(cause: Cause) -> Failure {
    Failure::invalid("meta.k8s.io", "DeleteOptions", "", vec![cause])
}

/// What became of the object.
pub(crate) enum Outcome {
    Gone(Value),
    /// Marked; finalizers or a grace period hold it.
    Leaving(Value),
}

/// Answers a DELETE of one object.
pub(crate) async fn delete(core: &Core, call: &Call) -> Answer<Reply> {
    let mut options = DeleteOptions::read(call)?;
    let warnings = options.settle_propagation(call);
    let name = &call.path.name;
    let outcome = delete_one(core, call, name, &call.path.namespace, &options).await?;
    let reply = Reply::ok(match outcome {
        Outcome::Leaving(value) => Content::Object(value),
        Outcome::Gone(value) if strategy::returns_deleted(&call.entry) => Content::Object(value),
        Outcome::Gone(value) => Content::Other(success(&call.entry, name, object::uid(&value))),
    });
    Ok(reply.warn(warnings))
}

/// Deletes one object of the call's kind.
pub(crate) async fn delete_one(
    core: &Core,
    call: &Call,
    name: &str,
    namespace: &str,
    options: &DeleteOptions,
) -> Answer<Outcome> {
    let entry = &call.entry;
    if entry.is("", "namespaces") && strategy::is_protected_namespace(name) {
        let why = "this namespace may not be deleted";
        return Err(Failure::forbidden(entry.named(), name, why));
    }
    let key = entry.key(namespace, name);
    for _ in 0..TRIES {
        let stored = core
            .store
            .get(&key)
            .ok_or_else(|| Failure::not_found(entry.named(), name))?;
        let value = object::decode(&stored)?;
        options.check(call, name, &stored, &value)?;
        let (next, gone) = mark(call, value.clone(), options);
        let unchanged = !gone && next == value;
        if options.dry_run || unchanged {
            let shown = entry.present_value(next);
            return Ok(if gone {
                Outcome::Gone(shown)
            } else {
                Outcome::Leaving(shown)
            });
        }
        let body = object::encode(&next);
        match core.store.write(successor(&stored, gone, body)).await {
            Ok(stored) => {
                if definition::is_definition(entry) {
                    core.cleanup.notify_one();
                }
                let shown = entry.present(&stored)?;
                return Ok(if gone {
                    Outcome::Gone(shown)
                } else {
                    Outcome::Leaving(shown)
                });
            }
            Err(CommitError::Changed { .. }) => {}
            Err(error) => return Err(commit_failure(call, name, &error)),
        }
    }
    Err(Failure::modified(entry.named(), name))
}

/// Works out the object's next state, and whether that is its end.
fn mark(call: &Call, mut value: Value, options: &DeleteOptions) -> (Value, bool) {
    settle_finalizers(&mut value, options.propagation);
    if definition::is_definition(&call.entry) && !object::is_deleting(&value) {
        definition::hold(&mut value, call.now);
    }
    let is_pod = call.entry.is("", "pods");
    let is_namespace = call.entry.is("", "namespaces");
    let grace = if is_pod {
        strategy::grace_of(&value, options.grace_seconds)
    } else {
        0
    };
    let held = !object::finalizers(&value).is_empty()
        || (is_namespace
            && value
                .pointer("/spec/finalizers")
                .and_then(Value::as_array)
                .is_some_and(|held| !held.is_empty()));
    let pending = value
        .pointer("/metadata/deletionGracePeriodSeconds")
        .and_then(Value::as_i64);
    if !object::is_deleting(&value) {
        if grace == 0 && !held {
            return (value, true);
        }
        stamp(&mut value, call.now, grace);
        if is_namespace {
            object::map_mut(&mut value, "status").insert("phase".into(), "Terminating".into());
        }
        return (value, false);
    }
    // It is leaving already: the time left can only get shorter.
    let shorter = match (pending, options.grace_seconds) {
        (Some(pending), _) if grace == 0 => pending > 0,
        (Some(pending), Some(_)) => grace < pending,
        _ => false,
    };
    if grace == 0 && !held {
        return (value, true);
    }
    if shorter {
        shorten(&mut value, pending.unwrap_or(0), grace);
    }
    (value, false)
}

/// Marks the object as leaving.
fn stamp(value: &mut Value, now: Timestamp, grace: i64) {
    let metadata = object::metadata_mut(value);
    let end = now
        .checked_add(SignedDuration::from_secs(grace))
        .unwrap_or(now);
    metadata.insert("deletionTimestamp".into(), object::time(end));
    metadata.insert("deletionGracePeriodSeconds".into(), grace.into());
    if let Some(generation) = metadata.get("generation").and_then(Value::as_i64) {
        metadata.insert("generation".into(), (generation + 1).into());
    }
}

fn shorten(value: &mut Value, pending: i64, grace: i64) {
    let end: Option<Timestamp> = object::text(value, "/metadata/deletionTimestamp")
        .parse()
        .ok();
    let metadata = object::metadata_mut(value);
    let sooner = SignedDuration::from_secs(pending.saturating_sub(grace));
    if let Some(end) = end.and_then(|end| end.checked_sub(sooner).ok()) {
        metadata.insert("deletionTimestamp".into(), object::time(end));
    }
    metadata.insert("deletionGracePeriodSeconds".into(), grace.into());
}

/// The propagation policy becomes finalizers for the garbage collector.
fn settle_finalizers(value: &mut Value, propagation: Option<Propagation>) {
    let Some(propagation) = propagation else {
        return;
    };
    let mut finalizers: Vec<String> = object::finalizers(value)
        .into_iter()
        .filter(|finalizer| !matches!(*finalizer, ORPHAN | FOREGROUND))
        .map(str::to_owned)
        .collect();
    match propagation {
        Propagation::Background => {}
        Propagation::Foreground => finalizers.push(FOREGROUND.to_owned()),
        Propagation::Orphan => finalizers.push(ORPHAN.to_owned()),
    }
    let list = (!finalizers.is_empty()).then(|| json!(finalizers));
    object::set(object::metadata_mut(value), "finalizers", list);
}

/// Answers a DELETE of a collection.
pub(crate) async fn delete_collection(core: &Core, call: &Call) -> Answer<Reply> {
    let mut options = DeleteOptions::read(call)?;
    let warnings = options.settle_propagation(call);
    let selection = Selection::of(call)?;
    let snapshot = core.store.snapshot();
    let namespace = match call.path.namespace.as_str() {
        "" => None,
        namespace => Some(namespace),
    };
    let all = snapshot.list(&call.entry.rows, namespace, None);
    let objects: Vec<_> = all
        .filter(|object| selection.matches(object))
        .cloned()
        .collect();
    for object in &objects {
        let key = &object.key;
        match delete_one(core, call, &key.name, &key.namespace, &options).await {
            Ok(_) => {}
            // Somebody else was faster.
            Err(failure) if failure.reason == "NotFound" => {}
            Err(failure) => return Err(failure),
        }
    }
    let revision = core.store.revision();
    Ok(Reply::ok(Content::Page(Page {
        objects,
        revision,
        continues: None,
        remaining: None,
    }))
    .warn(warnings))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_becomes_a_finalizer_and_replaces_the_other() {
        let mut value = json!({"metadata": {"finalizers": ["x.io/y", "orphan"]}});
        settle_finalizers(&mut value, Some(Propagation::Foreground));
        assert_eq!(object::finalizers(&value), ["x.io/y", FOREGROUND]);
        settle_finalizers(&mut value, None);
        assert_eq!(object::finalizers(&value), ["x.io/y", FOREGROUND]);
        settle_finalizers(&mut value, Some(Propagation::Background));
        assert_eq!(object::finalizers(&value), ["x.io/y"]);
    }

    #[test]
    fn the_time_left_can_be_shortened() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut value = json!({"metadata": {"generation": 1}});
        stamp(&mut value, now, 30);
        assert_eq!(
            object::text(&value, "/metadata/deletionTimestamp"),
            "2026-01-01T00:00:30Z"
        );
        assert_eq!(value["metadata"]["generation"], 2);
        shorten(&mut value, 30, 5);
        assert_eq!(
            object::text(&value, "/metadata/deletionTimestamp"),
            "2026-01-01T00:00:05Z"
        );
        assert_eq!(value["metadata"]["deletionGracePeriodSeconds"], 5);
    }
}
