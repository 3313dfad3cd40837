//! Rows of volumes, claims, storage classes and priority classes.

use serde_json::{Value, json};

use super::Shown;

/// Access modes in the order in which they are shown, with their short names.
const MODES: &[(&str, &str)] = &[
    ("ReadWriteOnce", "RWO"),
    ("ReadOnlyMany", "ROX"),
    ("ReadWriteMany", "RWX"),
    ("ReadWriteOncePod", "RWOP"),
];

fn modes(shown: Shown<'_>, pointer: &str) -> String {
    let listed = shown.list(pointer);
    let named = MODES
        .iter()
        .filter(|(mode, _)| listed.iter().any(|listed| listed == mode));
    named.map(|(_, short)| *short).collect::<Vec<_>>().join(",")
}

fn or_unset(text: &str) -> &str {
    if text.is_empty() { "<unset>" } else { text }
}

fn phase(shown: Shown<'_>) -> &str {
    if shown.object["metadata"]["deletionTimestamp"].is_null() {
        shown.text("/status/phase")
    } else {
        "Terminating"
    }
}

/// The class: an annotation of old, or the field.
fn class(shown: Shown<'_>) -> &str {
    let old = &shown.object["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"];
    old.as_str()
        .unwrap_or_else(|| shown.text("/spec/storageClassName"))
}

fn amount(text: &str) -> &str {
    if text.is_empty() { "0" } else { text }
}

pub(super) fn volume(shown: Shown<'_>) -> Vec<Value> {
    let claim = match &shown.object["spec"]["claimRef"] {
        Value::Null => String::new(),
        claim => format!(
            "{}/{}",
            claim["namespace"].as_str().unwrap_or_default(),
            claim["name"].as_str().unwrap_or_default()
        ),
    };
    vec![
        shown.name(),
        json!(amount(shown.text("/spec/capacity/storage"))),
        json!(modes(shown, "/spec/accessModes")),
        json!(shown.text("/spec/persistentVolumeReclaimPolicy")),
        json!(phase(shown)),
        json!(claim),
        json!(class(shown)),
        json!(or_unset(shown.text("/spec/volumeAttributesClassName"))),
        json!(shown.text("/status/reason")),
        shown.age(),
        json!(or_unset(shown.text("/spec/volumeMode"))),
    ]
}

pub(super) fn claim(shown: Shown<'_>) -> Vec<Value> {
    let volume = shown.text("/spec/volumeName");
    let (capacity, access) = if volume.is_empty() {
        ("", String::new())
    } else {
        let capacity = amount(shown.text("/status/capacity/storage"));
        (capacity, modes(shown, "/status/accessModes"))
    };
    vec![
        shown.name(),
        json!(phase(shown)),
        json!(volume),
        json!(capacity),
        json!(access),
        json!(class(shown)),
        json!(or_unset(shown.text("/spec/volumeAttributesClassName"))),
        shown.age(),
        json!(or_unset(shown.text("/spec/volumeMode"))),
    ]
}

pub(super) fn cells(plural: &str, shown: Shown<'_>) -> Option<Vec<Value>> {
    Some(match plural {
        "storageclasses" => {
            let annotations = &shown.object["metadata"]["annotations"];
            let is_default = [
                "storageclass.kubernetes.io/is-default-class",
                "storageclass.beta.kubernetes.io/is-default-class",
            ]
            .iter()
            .any(|key| annotations[*key] == "true");
            let mut name = shown.text("/metadata/name").to_owned();
            if is_default {
                name.push_str(" (default)");
            }
            let word = |pointer: &str, default: &'static str| match shown.text(pointer) {
                "" => json!(default),
                text => json!(text),
            };
            vec![
                json!(name),
                json!(shown.text("/provisioner")),
                word("/reclaimPolicy", "Delete"),
                word("/volumeBindingMode", "Immediate"),
                json!(shown.object["allowVolumeExpansion"] == true),
                shown.age(),
            ]
        }
        "priorityclasses" => vec![
            shown.name(),
            json!(shown.number("/value")),
            json!(shown.object["globalDefault"] == true),
            shown.age(),
            json!(shown.text("/preemptionPolicy")),
        ],
        _ => return None,
    })
}
