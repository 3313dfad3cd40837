//! Adoption and release: which of the selected objects belong to a controller.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::{Metadata, Resource};
use serde::Serialize;

use crate::change::{Change, Target, uid};
use crate::ownership::{controller_of, controller_reference};
use crate::selector;

/// The objects a controller owns after the changes are done.
pub(crate) struct Claimed<K> {
    pub(crate) objects: Vec<Arc<K>>,
    pub(crate) changes: Vec<Change>,
}

/// Sorts `candidates` into owned, to adopt and to release.
///
/// Adoption is preceded by a live read of the owner, because a stale cache may
/// show an owner that was deleted and created again under the same name.
pub(crate) fn claim<O, K>(owner: &O, wanted: &LabelSelector, candidates: &[Arc<K>]) -> Claimed<K>
where
    O: Resource + Metadata<Ty = ObjectMeta>,
    K: Resource + Metadata<Ty = ObjectMeta> + Serialize + Clone,
{
    let owner_is_deleted = owner.metadata().deletion_timestamp.is_some();
    let mut claimed = Claimed {
        objects: Vec::new(),
        changes: Vec::new(),
    };
    let mut confirmed = false;
    for candidate in candidates {
        let meta = candidate.metadata();
        if meta.namespace != owner.metadata().namespace {
            continue;
        }
        let selected = selector::matches(wanted, meta.labels.as_ref());
        match controller_of(meta) {
            Some(current) if current.uid != uid(owner) => {}
            Some(_) if selected => claimed.objects.push(Arc::clone(candidate)),
            Some(_) => {
                if !owner_is_deleted {
                    claimed.changes.extend(release(owner, candidate.as_ref()));
                }
            }
            None => {
                if owner_is_deleted || !selected || meta.deletion_timestamp.is_some() {
                    continue;
                }
                if !confirmed {
                    confirmed = true;
                    let target = Target::of(owner);
                    claimed.changes.push(Change::ConfirmLive {
                        target,
                        uid: uid(owner).to_owned(),
                    });
                }
                claimed.changes.extend(adopt(owner, candidate.as_ref()));
                claimed.objects.push(Arc::clone(candidate));
            }
        }
    }
    claimed
}

fn adopt<O, K>(owner: &O, object: &K) -> Option<Change>
where
    O: Resource + Metadata<Ty = ObjectMeta>,
    K: Resource + Metadata<Ty = ObjectMeta> + Serialize + Clone,
{
    let mut adopted = object.clone();
    adopted
        .metadata_mut()
        .owner_references
        .get_or_insert_default()
        .push(controller_reference(owner));
    Change::update(object, &adopted)
}

fn release<O, K>(owner: &O, object: &K) -> Option<Change>
where
    O: Resource + Metadata<Ty = ObjectMeta>,
    K: Resource + Metadata<Ty = ObjectMeta> + Serialize + Clone,
{
    let mut released = object.clone();
    let owners = released
        .metadata_mut()
        .owner_references
        .get_or_insert_default();
    owners.retain(|reference| reference.uid != uid(owner));
    if owners.is_empty() {
        released.metadata_mut().owner_references = None;
    }
    Change::update(object, &released)
}
