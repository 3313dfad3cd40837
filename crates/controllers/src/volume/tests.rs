//! Binding, release, and which directories may never be removed.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use serde_json::{Value, json};

use super::{Inputs, decide_claim, decide_volume, needs_directory, to_remove, volume_name};
use crate::change::Change;

const FOLDER: &str = "/data/volumes";

fn claim(extra: &Value) -> PersistentVolumeClaim {
    let mut claim = json!({
        "metadata": {"name": "files", "namespace": "dev", "uid": "u1", "resourceVersion": "1"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        "status": {"phase": "Pending"},
    });
    for (key, value) in extra.as_object().unwrap() {
        claim["spec"][key] = value.clone();
    }
    serde_json::from_value(claim).unwrap()
}

fn inputs<'a>(
    claim: &'a PersistentVolumeClaim,
    volume: Option<&'a PersistentVolume>,
) -> Inputs<'a> {
    Inputs {
        claim,
        volume,
        folder: FOLDER,
    }
}

/// The volume the claim gets, as it is stored.
fn made(claim: &PersistentVolumeClaim) -> PersistentVolume {
    let changes = decide_claim(&inputs(claim, None));
    let [Change::Create { body, .. }, Change::Event { .. }] = changes.as_slice() else {
        panic!("{changes:?}");
    };
    serde_json::from_value(body.clone()).unwrap()
}

#[test]
fn a_claim_gets_a_volume_of_its_own_and_is_bound_in_two_writes() {
    let claim = claim(&json!({}));
    assert_eq!(
        needs_directory(&inputs(&claim, None)).as_deref(),
        Some("dev_files_u1")
    );
    let volume = made(&claim);
    assert_eq!(volume_name(&claim), "pvc-u1");
    let spec = volume.spec.clone().unwrap();
    assert_eq!(spec.host_path.unwrap().path, "/data/volumes/dev_files_u1");
    let changes = decide_claim(&inputs(&claim, Some(&volume)));
    let [Change::Patch { body, .. }] = changes.as_slice() else {
        panic!("{changes:?}");
    };
    assert_eq!(body["spec"]["volumeName"], "pvc-u1");
    let mut named = claim;
    named.spec.as_mut().unwrap().volume_name = Some("pvc-u1".to_owned());
    named.metadata.annotations =
        Some(serde_json::from_value(body["metadata"]["annotations"].clone()).unwrap());
    let changes = decide_claim(&inputs(&named, Some(&volume)));
    let [Change::Patch { body, .. }] = changes.as_slice() else {
        panic!("{changes:?}");
    };
    assert_eq!(body["status"]["phase"], "Bound");
    assert_eq!(body["status"]["capacity"]["storage"], "1Gi");
}

#[test]
fn another_class_is_refused_by_name() {
    let claim = claim(&json!({"storageClassName": "fast"}));
    assert_eq!(needs_directory(&inputs(&claim, None)), None);
    let changes = decide_claim(&inputs(&claim, None));
    let [Change::Event { message, .. }] = changes.as_slice() else {
        panic!("{changes:?}");
    };
    assert!(
        message.contains("\"fast\" is not provided here"),
        "{message}"
    );
}

#[test]
fn a_volume_of_another_claim_is_not_taken() {
    let volume = made(&claim(&json!({})));
    let mut other = claim(&json!({"volumeName": "pvc-u1"}));
    other.metadata.uid = Some("u2".to_owned());
    assert_eq!(decide_claim(&inputs(&other, Some(&volume))), []);
}

fn released(volume: &PersistentVolume, edit: impl FnOnce(&mut Value)) -> PersistentVolume {
    let mut value = serde_json::to_value(volume).unwrap();
    value["status"] = json!({"phase": "Released"});
    edit(&mut value);
    serde_json::from_value(value).unwrap()
}

#[test]
fn a_volume_without_its_claim_is_released_then_emptied_then_deleted() {
    let claim = claim(&json!({}));
    let volume = made(&claim);
    assert_eq!(to_remove(&volume, None, FOLDER), None);
    let changes = decide_volume(&volume, None, false);
    assert!(
        matches!(&changes[..], [Change::Patch { body, .. }] if body["status"]["phase"] == "Released")
    );
    let volume = released(&volume, |_| ());
    assert_eq!(to_remove(&volume, None, FOLDER), Some("dev_files_u1"));
    assert_eq!(to_remove(&volume, Some(&claim), FOLDER), None);
    assert!(matches!(
        &decide_volume(&volume, None, true)[..],
        [Change::Delete { .. }]
    ));
}

#[test]
fn nothing_outside_the_folder_is_ever_removed() {
    let volume = made(&claim(&json!({})));
    let check = |path: &str| {
        let volume = released(&volume, |value| {
            value["spec"]["hostPath"]["path"] = json!(path);
        });
        assert_eq!(to_remove(&volume, None, FOLDER), None, "{path}");
    };
    check("/data/volumes");
    check("/data/volumes/");
    check("/data/volumes/..");
    check("/data/volumes/../u1");
    check("/data/volumes/a/u1");
    check("/data/volumesu1");
    check("/etc/u1");
    check("/data/volumes/somebody-elses");
    let retained = released(&volume, |value| {
        value["spec"]["persistentVolumeReclaimPolicy"] = json!("Retain");
    });
    assert_eq!(to_remove(&retained, None, FOLDER), None);
    let foreign = released(&volume, |value| {
        value["metadata"]["annotations"] = json!({});
    });
    assert_eq!(to_remove(&foreign, None, FOLDER), None);
}
