//! Custom resource definitions: their names, their conditions, and the removal of all
//! their objects when they go.

use std::sync::{Arc, Weak};
use std::time::Duration;

use foreshore_engine_schema::custom;
use serde_json::{Value, json};
use tracing::warn;

use crate::call::Call;
use crate::catalog::Entry;
use crate::core::Core;
use crate::object::{self, text};
use crate::status::{Answer, Cause};
use crate::write::delete::{DeleteOptions, delete_one};
use crate::write::successor;

const GROUP: &str = "apiextensions.k8s.io";
const PLURAL: &str = "customresourcedefinitions";
const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";
/// How often objects held by finalizers are looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

pub(crate) fn entry(core: &Core) -> &Arc<Entry> {
    core.catalog.known(GROUP, PLURAL)
}

pub(crate) fn is_definition(entry: &Entry) -> bool {
    entry.is(GROUP, PLURAL)
}

/// Whether a condition is true.
pub(crate) fn has_condition(definition: &Value, kind: &str) -> bool {
    let conditions = definition["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|condition| condition["type"] == kind && condition["status"] == "True")
}

/// What is wrong with a definition.
pub(crate) fn validate(value: &Value) -> Vec<Cause> {
    let found = custom::check_definition(value).into_iter();
    found.map(Cause::from).collect()
}

/// What may not change once names are given out.
pub(crate) fn validate_update(value: &Value, old: &Value) -> Vec<Cause> {
    let fixed = [
        "/spec/group",
        "/spec/scope",
        "/spec/names/kind",
        "/spec/names/plural",
    ];
    let changed = fixed
        .into_iter()
        .filter(|pointer| value.pointer(pointer) != old.pointer(pointer));
    changed
        .map(|pointer| {
            let field = pointer.trim_start_matches('/').replace('/', ".");
            let given = value.pointer(pointer).unwrap_or(&Value::Null);
            Cause::invalid(field, given, "field is immutable")
        })
        .collect()
}

/// Works out names and conditions; what was accepted stays so.
pub(crate) fn settle(core: &Core, value: &mut Value, now: jiff::Timestamp) -> Answer<()> {
    let conflict = conflict(core, value)?;
    let established = has_condition(value, "Established");
    let names = value["spec"]["names"].clone();
    let storage = value["spec"]["versions"].as_array();
    let storage = storage
        .into_iter()
        .flatten()
        .find(|version| version["storage"] == true);
    let storage = storage.map(|version| version["name"].clone());
    let status = object::map_mut(value, "status");
    let stored = status.entry("storedVersions").or_insert(json!([]));
    if let (Some(list), Some(storage)) = (stored.as_array_mut(), storage)
        && !list.contains(&storage)
    {
        list.push(storage);
    }
    if conflict.is_none() {
        status.insert("acceptedNames".into(), names);
    } else if !status.contains_key("acceptedNames") {
        status.insert("acceptedNames".into(), json!({"plural": "", "kind": ""}));
    }
    match conflict {
        None => {
            let why = ("NoConflicts", "no conflicts found");
            condition(value, "NamesAccepted", true, why, now);
            let why = (
                "InitialNamesAccepted",
                "the initial names have been accepted",
            );
            condition(value, "Established", true, why, now);
        }
        Some((reason, message)) => {
            condition(value, "NamesAccepted", false, (reason, &message), now);
            if !established {
                let why = ("NotAccepted", "not all names are accepted");
                condition(value, "Established", false, why, now);
            }
        }
    }
    Ok(())
}

fn condition(
    value: &mut Value,
    kind: &str,
    holds: bool,
    (reason, message): (&str, &str),
    now: jiff::Timestamp,
) {
    let status = object::map_mut(value, "status");
    let conditions = status.entry("conditions").or_insert(json!([]));
    let Some(conditions) = conditions.as_array_mut() else {
        return;
    };
    let word = if holds { "True" } else { "False" };
    let known = conditions
        .iter_mut()
        .find(|condition| condition["type"] == kind);
    let since = match &known {
        Some(known) if known["status"] == word => known["lastTransitionTime"].clone(),
        _ => object::time(now),
    };
    let made = json!({
        "type": kind, "status": word, "reason": reason, "message": message,
        "lastTransitionTime": since,
    });
    match known {
        Some(known) => *known = made,
        None => conditions.push(made),
    }
}

/// A name somebody else in the group has, as reason and message.
fn conflict(core: &Core, value: &Value) -> Answer<Option<(&'static str, String)>> {
    let group = text(value, "/spec/group");
    let own = object::name(value);
    let mut names: Vec<String> = vec![];
    let mut kinds: Vec<String> = vec![];
    let mut add = |object: &Value| {
        names.extend(
            ["plural", "singular"].map(|field| text(object, &format!("/{field}")).to_owned()),
        );
        let short = object["shortNames"].as_array().into_iter().flatten();
        names.extend(short.filter_map(Value::as_str).map(str::to_owned));
        kinds.extend(
            ["kind", "listKind"].map(|field| text(object, &format!("/{field}")).to_owned()),
        );
    };
    let rows = &entry(core).rows;
    for stored in core.store.snapshot().list(rows, None, None) {
        let other = object::decode(stored)?;
        if text(&other, "/spec/group") == group && object::name(&other) != own {
            add(&other["status"]["acceptedNames"]);
        }
    }
    let asked = &value["spec"]["names"];
    let short = asked["shortNames"].as_array().into_iter().flatten();
    let asked_for = [
        ("PluralConflict", "plural"),
        ("SingularConflict", "singular"),
    ]
    .map(|(reason, field)| (reason, text(asked, &format!("/{field}"))));
    let short = short
        .filter_map(Value::as_str)
        .map(|name| ("ShortNamesConflict", name));
    for (reason, name) in asked_for.into_iter().chain(short) {
        if !name.is_empty() && names.iter().any(|known| known == name) {
            return Ok(Some((reason, format!("{name:?} is already in use"))));
        }
    }
    for (reason, field) in [("KindConflict", "kind"), ("ListKindConflict", "listKind")] {
        let kind = text(asked, &format!("/{field}"));
        if !kind.is_empty() && kinds.iter().any(|known| known == kind) {
            return Ok(Some((reason, format!("{kind:?} is already in use"))));
        }
    }
    Ok(None)
}

/// A definition that is to go waits for its objects.
pub(crate) fn hold(value: &mut Value, now: jiff::Timestamp) {
    let mut finalizers: Vec<String> = object::finalizers(value)
        .into_iter()
        .map(str::to_owned)
        .collect();
    if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
        finalizers.push(FINALIZER.to_owned());
    }
    object::metadata_mut(value).insert("finalizers".into(), json!(finalizers));
    let why = (
        "InstanceDeletionPending",
        "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
    );
    condition(value, "Terminating", true, why, now);
}

/// Removes the objects of deleted definitions until the server ends.
pub(crate) fn spawn_cleanup(core: &Arc<Core>) {
    let wake = Arc::clone(&core.cleanup);
    let closing = core.closing.clone();
    // The guard's token fires when the last handle to the server is dropped.
    let ended = core.ended_token();
    let core = Arc::downgrade(core);
    tokio::spawn(async move {
        loop {
            let Some(pending) = sweep(&core).await else {
                return;
            };
            let again = async {
                if pending {
                    tokio::time::sleep(LOOK_AGAIN).await;
                } else {
                    wake.notified().await;
                }
            };
            tokio::select! {
                () = closing.cancelled() => return,
                () = ended.cancelled() => return,
                () = again => {}
            }
        }
    });
}

/// One look at all definitions: whether something is left to do; nothing if the server is gone.
async fn sweep(core: &Weak<Core>) -> Option<bool> {
    let core = core.upgrade()?;
    let rows = &entry(&core).rows;
    let mut pending = false;
    for stored in core.store.snapshot().list(rows, None, None) {
        let Ok(definition) = object::decode(stored) else {
            continue;
        };
        let held = object::finalizers(&definition).contains(&FINALIZER);
        if !object::is_deleting(&definition) || !held {
            continue;
        }
        match finish(&core, stored, definition).await {
            Ok(done) => pending |= !done,
            Err(failure) => {
                warn!(
                    error = &failure as &dyn std::error::Error,
                    name = &*stored.key.name,
                    "objects of a deleted definition could not be removed; will retry"
                );
                pending = true;
            }
        }
    }
    Some(pending)
}

/// Deletes all objects of a definition, and then lets go of it.
async fn finish(
    core: &Core,
    stored: &foreshore_engine_store::Object,
    mut definition: Value,
) -> Answer<bool> {
    let custom = core.custom();
    let made = custom
        .entries()
        .find(|entry| entry.resource.qualified_name() == *stored.key.name);
    let rows = foreshore_engine_store::Resource::new(stored.key.name.to_string());
    let snapshot = core.store.snapshot();
    let mut left = false;
    for instance in snapshot.list(&rows, None, None) {
        left = true;
        let Some(entry) = made else {
            // Not served any more: nobody can hold it.
            let value = object::decode(instance)?;
            let op = successor(instance, true, object::encode(&value));
            drop(core.store.write(op).await);
            continue;
        };
        if object::is_deleting(&object::decode(instance)?) {
            continue;
        }
        let key = &instance.key;
        let call = Call::internal(core.now(), entry, &key.namespace, &key.name);
        let options = DeleteOptions::default();
        let deleted = delete_one(
            core,
            &call,
            &instance.key.name,
            &instance.key.namespace,
            &options,
        );
        match deleted.await {
            Err(failure) if failure.reason != "NotFound" => return Err(failure),
            _ => {}
        }
    }
    if left && core.store.snapshot().count(&rows) > 0 {
        return Ok(false);
    }
    let finalizers: Vec<String> = object::finalizers(&definition)
        .into_iter()
        .filter(|finalizer| *finalizer != FINALIZER)
        .map(str::to_owned)
        .collect();
    let gone = finalizers.is_empty();
    let list = (!gone).then(|| json!(finalizers));
    object::set(object::metadata_mut(&mut definition), "finalizers", list);
    let op = successor(stored, gone, object::encode(&definition));
    // Whoever changed it meanwhile makes it be looked at again.
    Ok(core.store.write(op).await.is_ok())
}
