//! Volume claims: each gets a directory of its own on this machine.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    HostPathVolumeSource, ObjectReference, PersistentVolume, PersistentVolumeClaim,
    PersistentVolumeClaimStatus, PersistentVolumeSpec, PersistentVolumeStatus,
};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::change::{Change, EventKind, name, reference, uid};

/// The class of directories on this machine, and the default.
pub const CLASS: &str = "local";
const PROVISIONER: &str = "foreshore.local/directory";
const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";

/// The class every engine offers.
pub fn class() -> StorageClass {
    StorageClass {
        metadata: ObjectMeta {
            name: Some(CLASS.to_owned()),
            annotations: Some(yes(DEFAULT_CLASS, "true")),
            ..ObjectMeta::default()
        },
        provisioner: PROVISIONER.to_owned(),
        reclaim_policy: Some("Delete".to_owned()),
        volume_binding_mode: Some("Immediate".to_owned()),
        ..StorageClass::default()
    }
}

/// What is known about one claim.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    pub claim: &'a PersistentVolumeClaim,
    /// The volume that is named after the claim, or that the claim names.
    pub volume: Option<&'a PersistentVolume>,
    /// Where the directories are, as an absolute path.
    pub folder: &'a str,
}

/// The name of the volume a claim gets: no two claims ever have the same.
pub fn volume_name(claim: &PersistentVolumeClaim) -> String {
    let named = claim
        .spec
        .as_ref()
        .and_then(|spec| spec.volume_name.clone())
        .filter(|named| !named.is_empty());
    named.unwrap_or_else(|| format!("pvc-{}", uid(claim)))
}

/// The directory the claim is about to need; none if it has its volume, or
/// asks for something else.
pub fn needs_directory(inputs: &Inputs<'_>) -> Option<String> {
    let is_new = inputs.volume.is_none() && is_pending(inputs.claim) && !names_volume(inputs.claim);
    (is_new && is_ours(inputs.claim)).then(|| directory(inputs.claim))
}

/// Returns the changes that bind the claim to a volume. The directory exists.
pub fn decide_claim(inputs: &Inputs<'_>) -> Vec<Change> {
    let claim = inputs.claim;
    if claim.metadata.deletion_timestamp.is_some() {
        return Vec::new();
    }
    if !is_ours(claim) && inputs.volume.is_none() {
        return refuse(claim);
    }
    let Some(volume) = inputs.volume else {
        if !is_pending(claim) || names_volume(claim) {
            return Vec::new();
        }
        let volume = provision(claim, inputs.folder);
        let message = format!("Successfully provisioned volume {}", name(&volume));
        return vec![
            Change::create(&volume, None),
            Change::event(claim, EventKind::Normal, "ProvisioningSucceeded", message),
        ];
    };
    let is_for_claim = volume
        .spec
        .as_ref()
        .and_then(|spec| spec.claim_ref.as_ref())
        .is_some_and(|claimed| claimed.uid.as_deref() == Some(uid(claim)));
    if !is_for_claim {
        return Vec::new();
    }
    let spec = bind_spec(claim, volume);
    if spec.is_some() {
        // The status is written to the version that follows.
        return spec.into_iter().collect();
    }
    bind_status(claim, volume).into_iter().collect()
}

/// Returns what becomes of a volume: bound while its claim is there, released
/// after it. `is_emptied` says that its directory is gone.
pub fn decide_volume(
    volume: &PersistentVolume,
    claim: Option<&PersistentVolumeClaim>,
    is_emptied: bool,
) -> Vec<Change> {
    let Some(spec) = &volume.spec else {
        return Vec::new();
    };
    let Some(claimed) = &spec.claim_ref else {
        return set_phase(volume, "Available");
    };
    let is_wanted = claim.is_some_and(|claim| claimed.uid.as_deref() == Some(uid(claim)));
    if is_wanted {
        return set_phase(volume, "Bound");
    }
    if is_emptied {
        return vec![Change::delete(volume, None)];
    }
    set_phase(volume, "Released")
}

/// The directory to remove with a released volume: the name of an entry of
/// `folder`, never a path that leads elsewhere.
pub fn to_remove<'a>(
    volume: &'a PersistentVolume,
    claim: Option<&PersistentVolumeClaim>,
    folder: &str,
) -> Option<&'a str> {
    let spec = volume.spec.as_ref()?;
    let claimed = spec.claim_ref.as_ref()?;
    let is_wanted = claim.is_some_and(|claim| claimed.uid.as_deref() == Some(uid(claim)));
    let annotations = volume.metadata.annotations.as_ref()?;
    let is_ours = annotations.get(PROVISIONED_BY).map(String::as_str) == Some(PROVISIONER);
    let is_released = volume
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
        == Some("Released");
    let is_kept = spec.persistent_volume_reclaim_policy.as_deref() != Some("Delete");
    if is_wanted || !is_ours || !is_released || is_kept {
        return None;
    }
    let path = &spec.host_path.as_ref()?.path;
    let entry = path.strip_prefix(folder)?.strip_prefix('/')?;
    let is_plain = !entry.is_empty() && !entry.contains('/') && entry != "." && entry != "..";
    let owner = claimed.uid.as_deref()?;
    (is_plain && !owner.is_empty() && entry.ends_with(owner)).then_some(entry)
}

fn is_ours(claim: &PersistentVolumeClaim) -> bool {
    let class = claim
        .spec
        .as_ref()
        .and_then(|spec| spec.storage_class_name.as_deref());
    class.is_none_or(|class| class == CLASS)
}

fn is_pending(claim: &PersistentVolumeClaim) -> bool {
    let phase = claim
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    phase.is_none_or(|phase| phase == "Pending")
}

fn names_volume(claim: &PersistentVolumeClaim) -> bool {
    claim
        .spec
        .as_ref()
        .and_then(|spec| spec.volume_name.as_deref())
        .is_some_and(|named| !named.is_empty())
}

fn refuse(claim: &PersistentVolumeClaim) -> Vec<Change> {
    if !is_pending(claim) {
        return Vec::new();
    }
    let class = claim
        .spec
        .as_ref()
        .and_then(|spec| spec.storage_class_name.as_deref())
        .unwrap_or_default();
    let message = format!(
        "storage class {class:?} is not provided here; use {CLASS:?} or leave `storageClassName` out"
    );
    vec![Change::event(
        claim,
        EventKind::Warning,
        "ProvisioningFailed",
        message,
    )]
}

fn directory(claim: &PersistentVolumeClaim) -> String {
    let namespace = claim.metadata.namespace.as_deref().unwrap_or_default();
    format!("{namespace}_{}_{}", name(claim), uid(claim))
}

fn provision(claim: &PersistentVolumeClaim, folder: &str) -> PersistentVolume {
    let spec = claim.spec.clone().unwrap_or_default();
    PersistentVolume {
        metadata: ObjectMeta {
            name: Some(volume_name(claim)),
            annotations: Some(yes(PROVISIONED_BY, PROVISIONER)),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeSpec {
            capacity: spec.resources.and_then(|resources| resources.requests),
            access_modes: spec.access_modes,
            claim_ref: Some(ObjectReference {
                resource_version: None,
                ..reference(claim)
            }),
            persistent_volume_reclaim_policy: Some("Delete".to_owned()),
            storage_class_name: Some(CLASS.to_owned()),
            volume_mode: Some("Filesystem".to_owned()),
            host_path: Some(HostPathVolumeSource {
                path: format!("{folder}/{}", directory(claim)),
                type_: Some("Directory".to_owned()),
            }),
            ..PersistentVolumeSpec::default()
        }),
        status: None,
    }
}

fn bind_spec(claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> Option<Change> {
    let mut wanted = claim.clone();
    let spec = wanted.spec.get_or_insert_default();
    spec.volume_name.clone_from(&volume.metadata.name);
    let annotations = wanted.metadata.annotations.get_or_insert_default();
    annotations.extend(yes(BIND_COMPLETED, "yes"));
    annotations.extend(yes(BOUND_BY_CONTROLLER, "yes"));
    Change::update(claim, &wanted)
}

fn bind_status(claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> Option<Change> {
    let spec = volume.spec.as_ref()?;
    let before = claim.status.clone().unwrap_or_default();
    let wanted = PersistentVolumeClaim {
        status: Some(PersistentVolumeClaimStatus {
            phase: Some("Bound".to_owned()),
            access_modes: spec.access_modes.clone(),
            capacity: spec.capacity.clone(),
            ..before
        }),
        ..claim.clone()
    };
    Change::update_status(claim, &wanted)
}

fn set_phase(volume: &PersistentVolume, phase: &str) -> Vec<Change> {
    let before = volume.status.clone().unwrap_or_default();
    let wanted = PersistentVolume {
        status: Some(PersistentVolumeStatus {
            phase: Some(phase.to_owned()),
            ..before
        }),
        ..volume.clone()
    };
    Change::update_status(volume, &wanted).into_iter().collect()
}

fn yes(key: &str, value: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(key.to_owned(), value.to_owned())])
}
