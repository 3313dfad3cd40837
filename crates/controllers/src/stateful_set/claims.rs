//! The volume claims of the pods: made before the pod, kept or let go after it.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use super::identity;
use crate::change::{Change, name, reference, uid};
use crate::ownership::controller_reference;

pub(super) fn templates(set: &StatefulSet) -> &[PersistentVolumeClaim] {
    set.spec
        .as_ref()
        .and_then(|spec| spec.volume_claim_templates.as_deref())
        .unwrap_or_default()
}

pub(super) fn claim_name(
    set: &StatefulSet,
    template: &PersistentVolumeClaim,
    ordinal: i32,
) -> String {
    format!("{}-{}-{ordinal}", name(template), name(set))
}

/// Tells whether a claim of the pod to be made still belongs to its
/// predecessor and is about to go.
pub(super) fn is_stale(
    set: &StatefulSet,
    known: &BTreeMap<&str, &PersistentVolumeClaim>,
    ordinal: i32,
) -> bool {
    templates(set).iter().any(|template| {
        known
            .get(claim_name(set, template, ordinal).as_str())
            .is_some_and(|claim| {
                claim.metadata.deletion_timestamp.is_some()
                    || owners(claim).iter().any(|owner| {
                        owner.kind == "Pod" && owner.name == identity::pod_name(set, ordinal)
                    })
            })
    })
}

/// Returns the creations of the claims the pod misses.
pub(super) fn create_missing(
    set: &StatefulSet,
    known: &BTreeMap<&str, &PersistentVolumeClaim>,
    ordinal: i32,
) -> Vec<Change> {
    templates(set)
        .iter()
        .filter_map(|template| {
            let own = claim_name(set, template, ordinal);
            if known.contains_key(own.as_str()) {
                return None;
            }
            let mut labels = template.metadata.labels.clone().unwrap_or_default();
            let selector = set.spec.as_ref().map(|spec| &spec.selector);
            let wanted = selector.and_then(|selector| selector.match_labels.clone());
            labels.extend(wanted.unwrap_or_default());
            let mut claim = PersistentVolumeClaim {
                metadata: ObjectMeta {
                    name: Some(own),
                    namespace: set.metadata.namespace.clone(),
                    labels: (!labels.is_empty()).then_some(labels),
                    annotations: template.metadata.annotations.clone(),
                    ..ObjectMeta::default()
                },
                spec: template.spec.clone(),
                status: None,
            };
            if policy(set).deleted {
                claim.metadata.owner_references = Some(vec![own_reference(set)]);
            }
            Some(Change::create(&claim, Some(reference(set))))
        })
        .collect()
}

/// Returns the patches that make the claims of a living or a condemned pod go
/// away with the set or with the pod, as the retention policy says.
pub(super) fn follow_policy(
    set: &StatefulSet,
    known: &BTreeMap<&str, &PersistentVolumeClaim>,
    pod: &Pod,
    ordinal: i32,
    is_condemned: bool,
) -> Vec<Change> {
    let policy = policy(set);
    templates(set)
        .iter()
        .filter_map(|template| {
            let claim = *known.get(claim_name(set, template, ordinal).as_str())?;
            if claim.metadata.deletion_timestamp.is_some() {
                return None;
            }
            let mut wanted = owners(claim).to_vec();
            wanted.retain(|owner| {
                let is_set = owner.uid == uid(set);
                let is_pod = owner.kind == "Pod" && owner.name == name(pod);
                !is_set && !is_pod
            });
            if policy.scaled && is_condemned {
                wanted.push(pod_reference(pod));
            } else if policy.deleted {
                wanted.push(own_reference(set));
            }
            if same_owners(owners(claim), &wanted) {
                return None;
            }
            let mut updated = claim.clone();
            updated.metadata.owner_references = (!wanted.is_empty()).then_some(wanted);
            Change::update(claim, &updated)
        })
        .collect()
}

/// Whether claims are deleted with the set, and with pods scaled away.
struct Policy {
    deleted: bool,
    scaled: bool,
}

fn policy(set: &StatefulSet) -> Policy {
    let policy = set
        .spec
        .as_ref()
        .and_then(|spec| spec.persistent_volume_claim_retention_policy.clone())
        .unwrap_or_default();
    Policy {
        deleted: policy.when_deleted.as_deref() == Some("Delete"),
        scaled: policy.when_scaled.as_deref() == Some("Delete"),
    }
}

fn owners(claim: &PersistentVolumeClaim) -> &[OwnerReference] {
    claim
        .metadata
        .owner_references
        .as_deref()
        .unwrap_or_default()
}

fn same_owners(one: &[OwnerReference], other: &[OwnerReference]) -> bool {
    one.len() == other.len() && one.iter().all(|owner| other.contains(owner))
}

fn own_reference(set: &StatefulSet) -> OwnerReference {
    OwnerReference {
        block_owner_deletion: None,
        ..controller_reference(set)
    }
}

fn pod_reference(pod: &Pod) -> OwnerReference {
    OwnerReference {
        block_owner_deletion: None,
        ..controller_reference(pod)
    }
}
