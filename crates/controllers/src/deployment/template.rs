//! The hash that names the `ReplicaSet` of a pod template.

use k8s_openapi::api::core::v1::PodTemplateSpec;

use crate::short_hash::short_hash;
use crate::template;

/// The label that tells pods of different templates apart.
pub(super) const HASH_LABEL: &str = "pod-template-hash";

/// Tells whether two templates describe the same pod, apart from the hash label.
pub(super) fn same(one: Option<&PodTemplateSpec>, other: &PodTemplateSpec) -> bool {
    one.is_some_and(|one| template::same(one, other, HASH_LABEL))
}

/// Returns a short name for the template.
pub(super) fn hash(template: &PodTemplateSpec, collisions: i32) -> String {
    let bytes = serde_json::to_vec(&template::normal(template, HASH_LABEL))
        .expect("a template has string keys only");
    short_hash(&bytes, collisions)
}
