//! Namespaces: the `kubernetes` finalizer in their spec, and their phase.

use serde_json::{Value, json};

use crate::object;
use crate::strategy::keep;

/// Namespaces without which nothing works.
pub(crate) fn is_protected(name: &str) -> bool {
    matches!(name, "default" | "kube-system" | "kube-public")
}

pub(super) fn prepare_create(value: &mut Value) {
    let finalizers = object::map_mut(value, "spec")
        .entry("finalizers")
        .or_insert(json!([]));
    if let Some(list) = finalizers.as_array_mut()
        && !list.iter().any(|finalizer| finalizer == "kubernetes")
    {
        list.push("kubernetes".into());
    }
    object::map_mut(value, "status").insert("phase".into(), "Active".into());
    label(value);
}

/// Every namespace carries its name as a label, so that selectors can name it.
fn label(value: &mut Value) {
    let name = object::name(value).to_owned();
    let metadata = object::metadata_mut(value);
    let labels = metadata.entry("labels").or_insert(json!({}));
    if let Some(labels) = labels.as_object_mut()
        && !name.is_empty()
    {
        labels.insert("kubernetes.io/metadata.name".into(), name.into());
    }
}

pub(super) fn prepare_update(value: &mut Value, old: &Value) {
    keep(value, old, "spec");
    keep(value, old, "status");
    label(value);
}

pub(super) fn prepare_finalize(value: &mut Value, old: &Value) {
    keep(value, old, "status");
}
