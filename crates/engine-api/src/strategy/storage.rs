//! Volumes, claims and storage classes.

use foreshore_engine_schema::Quantity;
use serde_json::{Value, json};

use crate::core::Core;
use crate::object;
use crate::status::{Answer, Cause};
use crate::strategy::checks::{at, keep_fields, unsupported};

const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";
const DEFAULT_CLASS_BETA: &str = "storageclass.beta.kubernetes.io/is-default-class";
const CLASS_BETA: &str = "volume.beta.kubernetes.io/storage-class";
const ACCESS_MODES: [&str; 4] = [
    "ReadOnlyMany",
    "ReadWriteMany",
    "ReadWriteOnce",
    "ReadWriteOncePod",
];
/// Fields of a volume's spec that do not say what it is made of.
const NOT_SOURCES: &[&str] = &[
    "accessModes",
    "capacity",
    "claimRef",
    "mountOptions",
    "nodeAffinity",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "volumeAttributesClassName",
    "volumeMode",
];

/// A claim that names no class gets the default one, the newest if there are several.
pub(super) fn prepare_claim(core: &Core, value: &mut Value) -> Answer<()> {
    let annotated = !at(
        &value["metadata"]["annotations"],
        &format!("/{}", CLASS_BETA.replace('/', "~1")),
    )
    .is_null();
    if !at(value, "/spec/storageClassName").is_null() || annotated {
        return Ok(());
    }
    let rows = &core.catalog.known("storage.k8s.io", "storageclasses").rows;
    let snapshot = core.store.snapshot();
    let mut best: Option<(String, String)> = None;
    for stored in snapshot.list(rows, None, None) {
        let class = object::decode(stored)?;
        let marked = |key: &str| class["metadata"]["annotations"][key] == "true";
        if !marked(DEFAULT_CLASS) && !marked(DEFAULT_CLASS_BETA) {
            continue;
        }
        let created = object::text(&class, "/metadata/creationTimestamp").to_owned();
        if best.as_ref().is_none_or(|(newest, _)| created > *newest) {
            best = Some((created, object::name(&class).to_owned()));
        }
    }
    if let Some((_, name)) = best {
        object::map_mut(value, "spec").insert("storageClassName".into(), name.into());
    }
    Ok(())
}

/// A new volume waits from now on.
pub(super) fn prepare_volume(value: &mut Value, now: jiff::Timestamp) {
    let status = object::map_mut(value, "status");
    status.insert("phase".into(), json!("Pending"));
    status.insert("lastPhaseTransitionTime".into(), object::time(now));
}

fn access_modes(value: &Value, why: &str, causes: &mut Vec<Cause>) {
    let modes = at(value, "/spec/accessModes").as_array();
    let modes: Vec<&str> = modes
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if modes.is_empty() {
        causes.push(Cause::required("spec.accessModes", why));
    }
    for mode in &modes {
        if !ACCESS_MODES.contains(mode) {
            causes.push(unsupported("spec.accessModes", mode, &ACCESS_MODES));
        }
    }
    if modes.len() > 1 && modes.contains(&"ReadWriteOncePod") {
        let why = "may not use ReadWriteOncePod with other access modes";
        causes.push(Cause::forbidden("spec.accessModes", why));
    }
}

pub(super) fn validate_claim(value: &Value) -> Vec<Cause> {
    let mut causes = vec![];
    access_modes(value, "at least 1 access mode is required", &mut causes);
    let size = at(value, "/spec/resources/requests/storage");
    let amount = size.as_str().and_then(|text| Quantity::parse(text).ok());
    if size.is_null() {
        causes.push(Cause::required("spec.resources[storage]", ""));
    } else if amount.is_some_and(|amount| amount.units() <= 0) {
        let why = "must be greater than zero";
        causes.push(Cause::invalid("spec.resources[storage]", size, why));
    }
    causes
}

pub(super) fn validate_claim_update(value: &Value, old: &Value) -> Vec<Cause> {
    let bound = object::text(old, "/status/phase") == "Bound";
    let unbound = object::text(old, "/spec/volumeName").is_empty();
    let frozen = |claim: &Value| {
        let mut spec = at(claim, "/spec").clone();
        if let Some(spec) = spec.as_object_mut() {
            if unbound {
                spec.remove("volumeName");
            }
            if at(old, "/spec/storageClassName").is_null() {
                spec.remove("storageClassName");
            }
            spec.remove("volumeAttributesClassName");
            if bound && let Some(resources) = spec.get_mut("resources") {
                object::map_mut(resources, "requests").remove("storage");
            }
        }
        spec
    };
    if frozen(value) != frozen(old) {
        return vec![Cause::forbidden(
            "spec",
            "spec is immutable after creation except resources.requests and \
             volumeAttributesClassName for bound claims",
        )];
    }
    let size = |claim: &Value| {
        let text = object::text(claim, "/spec/resources/requests/storage");
        Quantity::parse(text).ok()
    };
    if size(value) < size(old) {
        let path = "spec.resources.requests.storage";
        let why = "field can not be less than status.capacity";
        return vec![Cause::forbidden(path, why)];
    }
    vec![]
}

fn sources(value: &Value) -> Vec<(&String, &Value)> {
    let spec = at(value, "/spec").as_object();
    let fields = spec.into_iter().flatten();
    fields
        .filter(|(name, value)| !NOT_SOURCES.contains(&name.as_str()) && !value.is_null())
        .collect()
}

pub(super) fn validate_volume(value: &Value) -> Vec<Cause> {
    let mut causes = vec![];
    access_modes(value, "", &mut causes);
    match at(value, "/spec/capacity").as_object() {
        None => {
            causes.push(Cause::required("spec.capacity", ""));
            causes.push(Cause {
                reason: "FieldValueNotSupported",
                field: "spec.capacity".into(),
                message: "Unsupported value: null: supported values: \"storage\"".into(),
            });
        }
        Some(capacity) if !capacity.contains_key("storage") || capacity.len() > 1 => {
            let shown = capacity.keys().next().map_or("", String::as_str);
            causes.push(unsupported("spec.capacity", shown, &["storage"]));
        }
        Some(_) => {}
    }
    let sources = sources(value);
    if sources.is_empty() {
        causes.push(Cause::required("spec", "must specify a volume type"));
    }
    for (name, _) in sources.iter().skip(1) {
        let why = "may not specify more than 1 volume type";
        causes.push(Cause::forbidden(format!("spec.{name}"), why));
    }
    causes
}

pub(super) fn validate_volume_update(value: &Value, old: &Value) -> Vec<Cause> {
    let mut causes = vec![];
    if sources(value) != sources(old) {
        causes.push(Cause::forbidden(
            "spec.persistentvolumesource",
            "spec.persistentvolumesource is immutable after creation",
        ));
    }
    causes.extend(keep_fields(
        value,
        old,
        &["spec.volumeMode"],
        "field is immutable",
    ));
    causes
}

pub(super) fn validate_class(value: &Value) -> Vec<Cause> {
    let policy = object::text(value, "/reclaimPolicy");
    let words = ["Delete", "Retain"];
    if words.contains(&policy) {
        return vec![];
    }
    vec![unsupported("reclaimPolicy", policy, &words)]
}

pub(super) fn validate_class_update(value: &Value, old: &Value) -> Vec<Cause> {
    let kept = [
        "parameters",
        "provisioner",
        "reclaimPolicy",
        "volumeBindingMode",
    ];
    keep_fields(value, old, &kept, "field is immutable")
}
