//! Pods: first state, service account, tolerations, and what may change later.

use foreshore_engine_schema::defaults;
use serde_json::{Map, Value, json};

use crate::call::Call;
use crate::core::{Core, generated_name};
use crate::object;
use crate::status::{Answer, Cause, Failure};
use crate::strategy::policy;

/// Seconds a mounted token is valid, as the real server asks for.
const TOKEN_SECONDS: u32 = 3607;
const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

pub(super) fn prepare_create(core: &Core, call: &Call, value: &mut Value) -> Answer<()> {
    defaults::complete_created_pod(value);
    policy::resolve_priority(core, &call.entry, value)?;
    defaults::admit_pod(value);
    admit_service_account(core, call, value)
}

/// Names the service account and mounts its token, as the real admission does.
fn admit_service_account(core: &Core, call: &Call, value: &mut Value) -> Answer<()> {
    let annotations = value.pointer("/metadata/annotations");
    if annotations.is_some_and(|all| all.get("kubernetes.io/config.mirror").is_some()) {
        return Ok(());
    }
    let namespace = call.path.namespace.clone();
    let pod = object::name(value).to_owned();
    let spec = object::map_mut(value, "spec");
    let account = match spec.get("serviceAccountName").and_then(Value::as_str) {
        Some(account) if !account.is_empty() => account.to_owned(),
        _ => "default".to_owned(),
    };
    spec.insert("serviceAccountName".into(), account.clone().into());
    spec.insert("serviceAccount".into(), account.clone().into());
    let Some(stored) = core.peek("", "serviceaccounts", &namespace, &account) else {
        let why = format!(
            "error looking up service account {namespace}/{account}: serviceaccount \
             \"{account}\" not found"
        );
        return Err(Failure::forbidden(call.entry.named(), &pod, &why));
    };
    let stored = object::decode(&stored)?;
    let wanted = spec
        .get("automountServiceAccountToken")
        .or_else(|| stored.get("automountServiceAccountToken"));
    if wanted != Some(&Value::Bool(false)) {
        mount_token(spec);
    }
    Ok(())
}

fn mount_token(spec: &mut Map<String, Value>) {
    let volumes = spec.entry("volumes").or_insert(json!([]));
    let volumes = volumes.as_array_mut();
    let known = volumes.iter().flat_map(|volumes| volumes.iter());
    let known = known
        .map(|volume| object::text(volume, "/name"))
        .find(|name| name.starts_with("kube-api-access-"));
    let existing = known.map(str::to_owned);
    let volume = existing
        .clone()
        .unwrap_or_else(|| generated_name("kube-api-access-"));
    let mut mounted = false;
    for list in ["initContainers", "containers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let Some(container) = container.as_object_mut() else {
                continue;
            };
            let mounts = container.entry("volumeMounts").or_insert(json!([]));
            let Some(mounts) = mounts.as_array_mut() else {
                continue;
            };
            if mounts
                .iter()
                .any(|mount| object::text(mount, "/mountPath") == TOKEN_PATH)
            {
                continue;
            }
            mounts.push(json!({"name": volume, "mountPath": TOKEN_PATH, "readOnly": true}));
            mounted = true;
        }
    }
    if mounted
        && existing.is_none()
        && let Some(volumes) = spec.get_mut("volumes").and_then(Value::as_array_mut)
    {
        volumes.push(token_volume(&volume));
    }
}

fn token_volume(name: &str) -> Value {
    json!({
        "name": name,
        "projected": {
            "defaultMode": 0o644,
            "sources": [
                {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
                {"configMap": {
                    "name": "kube-root-ca.crt",
                    "items": [{"key": "ca.crt", "path": "ca.crt"}],
                }},
                {"downwardAPI": {"items": [{
                    "path": "namespace",
                    "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
                }]}},
            ],
        },
    })
}

/// Seconds the pod gets to end; none if nothing runs that could end.
pub(crate) fn grace_of(pod: &Value, wanted: Option<i64>) -> i64 {
    let unscheduled = object::text(pod, "/spec/nodeName").is_empty();
    let ended = matches!(object::text(pod, "/status/phase"), "Succeeded" | "Failed");
    if unscheduled || ended {
        return 0;
    }
    let own = pod
        .pointer("/spec/terminationGracePeriodSeconds")
        .and_then(Value::as_i64);
    match wanted.or(own).unwrap_or(30) {
        // A negative time is a mistake, but one that must not last for ever.
        negative if negative < 0 => 1,
        seconds => seconds,
    }
}

pub(super) fn prepare_update(value: &mut Value, old: &Value) {
    // Worked out at creation.
    let qos = old.pointer("/status/qosClass").cloned();
    object::set(object::map_mut(value, "status"), "qosClass", qos);
}

/// Of a pod's spec little may change.
pub(super) fn validate_update(value: &Value, old: &Value) -> Vec<Cause> {
    for list in ["containers", "initContainers"] {
        let count = |pod: &Value| list_of(pod, list).count();
        if count(value) != count(old) {
            let why = "pod updates may not add or remove containers";
            return vec![Cause::forbidden(format!("spec.{list}"), why)];
        }
    }
    if let Some(cause) = deadline(value, old) {
        return vec![cause];
    }
    let mut causes = vec![];
    let kept = tolerations(old).all(|kept| tolerations(value).any(|found| found == kept));
    if !kept {
        let why = "existing toleration can not be modified except its tolerationSeconds";
        causes.push(Cause::forbidden("spec.tolerations", why));
    }
    for (index, gate) in list_of(value, "schedulingGates").enumerate() {
        if !list_of(old, "schedulingGates").any(|known| known == gate) {
            let name = object::text(gate, "/name");
            let why = format!("only deletion is allowed, but found new scheduling gate '{name}'");
            causes.push(Cause::forbidden(
                format!("spec.schedulingGates[{index}]"),
                &why,
            ));
        }
    }
    if frozen(value, old, value) != frozen(old, old, value) {
        causes.push(Cause::forbidden("spec", FROZEN));
    }
    causes
}

const FROZEN: &str = "pod updates may not change fields other than `spec.containers[*].image`,\
     `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only \
     additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be \
     set to 1 if it was previously negative)";

fn list_of<'a>(pod: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    let items = pod["spec"][list].as_array();
    items.into_iter().flatten()
}

/// Tolerations without the time they last, which may change.
fn tolerations(pod: &Value) -> impl Iterator<Item = Value> + use<'_> {
    list_of(pod, "tolerations").map(|toleration| {
        let mut toleration = toleration.clone();
        toleration
            .as_object_mut()
            .map(|map| map.remove("tolerationSeconds"));
        toleration
    })
}

/// A deadline may be set, and come nearer.
fn deadline(value: &Value, old: &Value) -> Option<Cause> {
    let of = |pod: &Value| pod["spec"]["activeDeadlineSeconds"].as_i64();
    let refuse = |shown: &Value, why: &str| {
        let path = "spec.activeDeadlineSeconds";
        Some(Cause::invalid(path, shown, why))
    };
    match (of(old), of(value)) {
        (_, Some(new)) if !(0..=i64::from(i32::MAX)).contains(&new) => {
            let why = "must be between 0 and 2147483647, inclusive";
            refuse(&new.into(), why)
        }
        (Some(old), Some(new)) if old < new => {
            refuse(&new.into(), "must be less than or equal to previous value")
        }
        (Some(_), None) => {
            let why = "must not update from a positive integer to nil value";
            refuse(&Value::Null, why)
        }
        _ => None,
    }
}

/// A spec without what may differ between the two.
fn frozen(pod: &Value, old: &Value, new: &Value) -> Value {
    let grace = |pod: &Value| pod["spec"]["terminationGracePeriodSeconds"].as_i64();
    // A negative time was a mistake that may be mended.
    let mended = grace(old).is_some_and(|grace| grace < 0) && grace(new) == Some(1);
    let mut spec = pod.get("spec").cloned().unwrap_or_default();
    let Some(map) = spec.as_object_mut() else {
        return spec;
    };
    for field in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
        map.remove(field);
    }
    if mended {
        map.remove("terminationGracePeriodSeconds");
    }
    for list in ["containers", "initContainers"] {
        let containers = map.get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            container.as_object_mut().map(|map| map.remove("image"));
        }
    }
    spec
}
