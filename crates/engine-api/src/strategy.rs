//! What is special about single kinds when they are written. Everything not
//! mentioned here is the same for all.

mod access;
mod batch;
mod checks;
mod metadata;
mod namespace;
mod pod;
mod pod_spec;
mod policy;
mod schedule;
mod service;
mod storage;
mod workload;

use foreshore_engine_schema::custom::unsupported_features;
use serde_json::{Map, Value};

use crate::call::Call;
use crate::catalog::Entry;
use crate::core::Core;
use crate::definition;
use crate::object;
use crate::status::{Answer, Cause, Failure};

pub(crate) use namespace::is_protected as is_protected_namespace;
pub(crate) use pod::grace_of;
pub(crate) use policy::SYSTEM_PRIORITIES;
pub(crate) use workload::matches as selects;

/// Kinds whose `generation` rises with their wishes.
const GENERATION: &[&str] = &[
    "deployments.apps",
    "replicasets.apps",
    "statefulsets.apps",
    "daemonsets.apps",
    "jobs.batch",
    "cronjobs.batch",
    "ingresses.networking.k8s.io",
    "ingressclasses.networking.k8s.io",
    "networkpolicies.networking.k8s.io",
    "poddisruptionbudgets.policy",
    "endpointslices.discovery.k8s.io",
    "priorityclasses.scheduling.k8s.io",
    "customresourcedefinitions.apiextensions.k8s.io",
    "pods",
];

/// Kinds a PUT may create.
const CREATE_ON_UPDATE: &[&str] = &[
    "events",
    "leases.coordination.k8s.io",
    "endpoints",
    "services",
    "roles.rbac.authorization.k8s.io",
    "rolebindings.rbac.authorization.k8s.io",
    "clusterroles.rbac.authorization.k8s.io",
    "clusterrolebindings.rbac.authorization.k8s.io",
];

/// Kinds that cannot be replaced without naming the version to be replaced.
const CONDITIONAL_UPDATE: &[&str] = &[
    "leases.coordination.k8s.io",
    "poddisruptionbudgets.policy",
    "customresourcedefinitions.apiextensions.k8s.io",
];

/// Kinds that are kept and change nothing here, with what their writers are told.
const WITHOUT_EFFECT: &[(&str, &str)] = &[
    (
        "networkpolicies.networking.k8s.io",
        "NetworkPolicy is stored but has no effect in the embedded engine: no traffic is filtered",
    ),
    (
        "priorityclasses.scheduling.k8s.io",
        "PriorityClass is stored but has no effect in the embedded engine: no pod is preempted",
    ),
];

/// What to tell the writer of something that is only kept, or old.
pub(crate) fn warnings(entry: &Entry, value: &Value) -> Vec<String> {
    if let Some(custom) = entry.custom() {
        return custom.version.deprecation.iter().cloned().collect();
    }
    if definition::is_definition(entry) {
        return unsupported_features(value);
    }
    let rows = entry.rows.as_str();
    let found = WITHOUT_EFFECT.iter().filter(|(known, _)| *known == rows);
    found.map(|(_, warning)| (*warning).to_owned()).collect()
}

/// Kinds that are kept without effect, with the reason.
pub(crate) fn without_effect(rows: &str) -> Option<&'static str> {
    let found = WITHOUT_EFFECT.iter().find(|(known, _)| *known == rows);
    found.map(|(_, warning)| *warning)
}

/// Kinds whose DELETE answers with the object instead of a Status.
const RETURNS_DELETED: &[&str] = &[
    "pods",
    "serviceaccounts",
    "persistentvolumeclaims",
    "services",
];

pub(crate) fn creates_on_update(entry: &Entry) -> bool {
    CREATE_ON_UPDATE.contains(&entry.rows.as_str())
}

pub(crate) fn needs_version(entry: &Entry) -> bool {
    entry.custom().is_some() || CONDITIONAL_UPDATE.contains(&entry.rows.as_str())
}

pub(crate) fn returns_deleted(entry: &Entry) -> bool {
    RETURNS_DELETED.contains(&entry.rows.as_str())
}

fn has_status(entry: &Entry) -> bool {
    entry.resource.subresource("status").is_some()
}

/// Brings a new object into its first state.
pub(crate) fn prepare_create(core: &Core, call: &Call, value: &mut Value) -> Answer<()> {
    let entry = &call.entry;
    if entry.custom().is_some() {
        if has_status(entry) {
            value.as_object_mut().map(|map| map.remove("status"));
        }
        object::metadata_mut(value).insert("generation".into(), 1.into());
        return Ok(());
    }
    if has_status(entry) && !entry.is("", "nodes") {
        object::map_mut(value, "status").clear();
    }
    if GENERATION.contains(&entry.rows.as_str()) {
        object::metadata_mut(value).insert("generation".into(), 1.into());
    }
    match entry.rows.as_str() {
        "pods" => pod::prepare_create(core, call, value),
        "namespaces" => {
            namespace::prepare_create(value);
            Ok(())
        }
        "services" => service::prepare_create(core, entry, value),
        "jobs.batch" => {
            batch::prepare_job(value);
            Ok(())
        }
        "daemonsets.apps" => {
            workload::prepare_daemon_set(value);
            Ok(())
        }
        "persistentvolumes" => {
            storage::prepare_volume(value, call.now);
            Ok(())
        }
        "persistentvolumeclaims" => storage::prepare_claim(core, value),
        "customresourcedefinitions.apiextensions.k8s.io" => {
            definition::settle(core, value, call.now)
        }
        _ if is_access(entry) => access::confirm(core, call, value, None),
        _ => Ok(()),
    }
}

/// Brings a changed object into shape: what this endpoint does not write stays as it was.
pub(crate) fn prepare_update(
    core: &Core,
    call: &Call,
    value: &mut Value,
    old: &Value,
) -> Answer<()> {
    let entry = &call.entry;
    match call.path.subresource.as_str() {
        "status" => keep_all_but_status(entry, value, old),
        "finalize" => namespace::prepare_finalize(value, old),
        "binding" => {}
        _ => {
            if has_status(entry) {
                keep(value, old, "status");
            }
            match entry.rows.as_str() {
                "namespaces" => namespace::prepare_update(value, old),
                "services" => service::prepare_update(core, entry, value, old)?,
                "pods" => pod::prepare_update(value, old),
                "daemonsets.apps" => workload::prepare_daemon_set_update(value, old),
                "customresourcedefinitions.apiextensions.k8s.io" => {
                    definition::settle(core, value, call.now)?;
                }
                _ if is_access(entry) => access::confirm(core, call, value, Some(old))?,
                _ => {}
            }
        }
    }
    if entry.custom().is_some() || GENERATION.contains(&entry.rows.as_str()) {
        raise_generation(entry, value, old);
    }
    Ok(())
}

/// Roles and bindings, which give permissions.
fn is_access(entry: &Entry) -> bool {
    entry.resource.group == "rbac.authorization.k8s.io"
}

/// Takes a member from the old object, or its absence.
fn keep(value: &mut Value, old: &Value, field: &str) {
    if let Some(map) = value.as_object_mut() {
        object::set(map, field, old.get(field).cloned());
    }
}

fn keep_metadata(value: &mut Value, old: &Value, field: &str) {
    let before = old
        .get("metadata")
        .and_then(|metadata| metadata.get(field))
        .cloned();
    object::set(object::metadata_mut(value), field, before);
}

fn keep_all_but_status(entry: &Entry, value: &mut Value, old: &Value) {
    let status = value.get("status").cloned();
    let metadata = value.get("metadata").cloned();
    let mut kept = old.as_object().cloned().unwrap_or_else(Map::new);
    object::set(&mut kept, "status", status);
    if entry.custom().is_some() {
        let owners = metadata
            .as_ref()
            .and_then(|metadata| metadata.get("managedFields"))
            .cloned();
        *value = Value::Object(kept);
        object::set(object::metadata_mut(value), "managedFields", owners);
        return;
    }
    object::set(&mut kept, "metadata", metadata);
    *value = Value::Object(kept);
    match entry.rows.as_str() {
        "deployments.apps" => keep_metadata(value, old, "labels"),
        "pods" => keep_metadata(value, old, "ownerReferences"),
        _ => {}
    }
}

fn raise_generation(entry: &Entry, value: &mut Value, old: &Value) {
    let differs = |pointer: &str| value.pointer(pointer) != old.pointer(pointer);
    let changed = match entry.rows.as_str() {
        "endpointslices.discovery.k8s.io" => ["/endpoints", "/ports", "/addressType"]
            .into_iter()
            .any(differs),
        "deployments.apps" if call_writes_main(value, old) => {
            differs("/spec") || differs("/metadata/annotations")
        }
        _ if entry.custom().is_some() => {
            let rest = |value: &Value| {
                let mut rest = value.clone();
                if let Some(map) = rest.as_object_mut() {
                    map.remove("metadata");
                    if has_status(entry) {
                        map.remove("status");
                    }
                }
                rest
            };
            rest(value) != rest(old)
        }
        _ => differs("/spec"),
    };
    let before = old
        .pointer("/metadata/generation")
        .and_then(Value::as_i64)
        .unwrap_or(0);
    let generation = if changed { before + 1 } else { before };
    object::metadata_mut(value).insert("generation".into(), generation.into());
}

/// A status write may change annotations without being a new wish.
fn call_writes_main(value: &Value, old: &Value) -> bool {
    value.get("status") == old.get("status")
}

/// Fields about which a kind's own rules say all there is to say.
pub(crate) fn speaks_for_itself(entry: &Entry, field: &str) -> bool {
    match entry.rows.as_str() {
        "customresourcedefinitions.apiextensions.k8s.io" => true,
        "daemonsets.apps" => matches!(field, "spec.selector" | "spec.updateStrategy.type"),
        "statefulsets.apps" => {
            matches!(
                field,
                "spec.podManagementPolicy" | "spec.updateStrategy.type"
            )
        }
        _ => false,
    }
}

/// What is wrong with a new object beyond its schema.
pub(crate) fn validate_create(entry: &Entry, value: &Value) -> Vec<Cause> {
    let mut causes = metadata::validate(entry, value);
    causes.extend(validate_kind(entry, value));
    causes
}

fn validate_kind(entry: &Entry, value: &Value) -> Vec<Cause> {
    match entry.rows.as_str() {
        "pods" => pod_spec::validate(&value["spec"], "spec", pod_spec::Use::Pod),
        "deployments.apps" | "replicasets.apps" | "statefulsets.apps" | "daemonsets.apps" => {
            workload::validate(&entry.resource.plural, value)
        }
        "jobs.batch" => batch::validate_job(value),
        "cronjobs.batch" => batch::validate_cron_job(value),
        "poddisruptionbudgets.policy" => policy::validate_budget(value),
        "horizontalpodautoscalers.autoscaling" => policy::validate_autoscaler(value),
        "priorityclasses.scheduling.k8s.io" => policy::validate_priority(value),
        "persistentvolumes" => storage::validate_volume(value),
        "persistentvolumeclaims" => storage::validate_claim(value),
        "storageclasses.storage.k8s.io" => storage::validate_class(value),
        "networkpolicies.networking.k8s.io" => policy::validate_network_policy(value),
        "controllerrevisions.apps" => workload::validate_revision(value),
        "customresourcedefinitions.apiextensions.k8s.io" => definition::validate(value),
        "services" => service::validate(value),
        "configmaps" | "secrets" => validate_keys(value),
        _ => vec![],
    }
}

/// What is wrong with a changed object beyond its schema.
pub(crate) fn validate_update(call: &Call, value: &Value, old: &Value) -> Vec<Cause> {
    let entry = &call.entry;
    let mut causes = metadata::validate(entry, value);
    if object::is_deleting(old) {
        let before = object::finalizers(old);
        let added: Vec<&str> = object::finalizers(value)
            .into_iter()
            .filter(|finalizer| !before.contains(finalizer))
            .collect();
        if !added.is_empty() {
            let why = format!(
                "no new finalizers can be added if the object is being deleted, found new \
                 finalizers {added:?}"
            );
            causes.push(Cause::forbidden("metadata.finalizers", &why));
        }
    }
    causes.extend(validate_kind(entry, value));
    causes.extend(match entry.rows.as_str() {
        "pods" if call.path.subresource != "binding" => pod::validate_update(value, old),
        "deployments.apps" | "replicasets.apps" | "statefulsets.apps" | "daemonsets.apps" => {
            workload::validate_update(&entry.resource.plural, value, old)
        }
        "customresourcedefinitions.apiextensions.k8s.io" => definition::validate_update(value, old),
        "controllerrevisions.apps" => workload::validate_revision_update(value, old),
        "jobs.batch" => batch::validate_job_update(value, old),
        "priorityclasses.scheduling.k8s.io" => policy::validate_priority_update(value, old),
        "persistentvolumes" => storage::validate_volume_update(value, old),
        "persistentvolumeclaims" => storage::validate_claim_update(value, old),
        "storageclasses.storage.k8s.io" => storage::validate_class_update(value, old),
        "services" => service::validate_update(value, old),
        "configmaps" | "secrets" => validate_immutable(value, old),
        "rolebindings.rbac.authorization.k8s.io"
        | "clusterrolebindings.rbac.authorization.k8s.io" => {
            access::validate_binding_update(value, old)
        }
        "endpointslices.discovery.k8s.io" => {
            unchanged(value, old, "addressType", "field is immutable")
        }
        "ingressclasses.networking.k8s.io" => {
            unchanged(value, old, "spec.controller", "field is immutable")
        }
        "nodes" => validate_node_update(value, old),
        _ => vec![],
    });
    causes
}

/// What a node was given stays.
fn validate_node_update(value: &Value, old: &Value) -> Vec<Cause> {
    let fields = [
        (
            "spec.podCIDRs",
            "node updates may not change podCIDR except from \"\" to valid",
        ),
        (
            "spec.providerID",
            "node updates may not change providerID except from \"\" to valid",
        ),
    ];
    let set = fields
        .into_iter()
        .filter(|(field, _)| !checks::field(old, field).is_null());
    checks::forbid_fields(value, old, &set.collect::<Vec<_>>())
}

fn unchanged(value: &Value, old: &Value, field: &str, why: &str) -> Vec<Cause> {
    let pointer = format!("/{}", field.replace('.', "/"));
    let (now, before) = (value.pointer(&pointer), old.pointer(&pointer));
    if now == before {
        return vec![];
    }
    vec![Cause::invalid(field, now.unwrap_or(&Value::Null), why)]
}

fn validate_immutable(value: &Value, old: &Value) -> Vec<Cause> {
    let mut causes = unchanged(value, old, "type", "field is immutable");
    if old.get("immutable") == Some(&Value::Bool(true)) {
        let why = "field is immutable when `immutable` is set";
        let fixed = ["immutable", "data", "binaryData"];
        causes.extend(checks::forbid_fields(
            value,
            old,
            &fixed.map(|field| (field, why)),
        ));
    }
    causes
}

fn validate_keys(value: &Value) -> Vec<Cause> {
    let mut causes = vec![];
    for field in ["data", "binaryData"] {
        let Some(entries) = value.get(field).and_then(Value::as_object) else {
            continue;
        };
        for key in entries.keys() {
            let fine = !key.is_empty()
                && key.len() <= 253
                && !matches!(key.as_str(), "." | "..")
                && key
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
            if !fine {
                causes.push(Cause::invalid(
                    format!("{field}[{key}]"),
                    &key.as_str().into(),
                    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' \
                     (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation \
                     is '[-._a-zA-Z0-9]+')",
                ));
            }
        }
    }
    causes
}

/// Refuses a namespace that cannot take new objects.
pub(crate) fn check_namespace(core: &Core, call: &Call, name: &str) -> Answer<()> {
    let namespace = call.path.namespace.as_str();
    let namespaces = core.catalog.known("", "namespaces");
    let Some(stored) = core.store.get(&namespaces.key("", namespace)) else {
        return Err(Failure::not_found(namespaces.named(), namespace));
    };
    if object::is_deleting(&object::decode(&stored)?) {
        return Err(Failure::terminating(call.entry.named(), name, namespace));
    }
    Ok(())
}
