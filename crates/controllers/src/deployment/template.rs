//! Pod templates: when two are the same, and the hash that names a `ReplicaSet`.

use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// The label that tells pods of different templates apart.
pub(super) const HASH_LABEL: &str = "pod-template-hash";

/// Letters and digits that form no words, as in other Kubernetes names.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// Tells whether two templates describe the same pod, apart from the hash label.
pub(super) fn same(one: Option<&PodTemplateSpec>, other: &PodTemplateSpec) -> bool {
    one.is_some_and(|one| without_hash(one) == without_hash(other))
}

/// Returns the template without its hash label; empty maps count as absent.
fn without_hash(template: &PodTemplateSpec) -> PodTemplateSpec {
    let mut template = template.clone();
    if let Some(meta) = &mut template.metadata {
        if let Some(labels) = &mut meta.labels {
            labels.remove(HASH_LABEL);
        }
        meta.labels = meta.labels.take().filter(|labels| !labels.is_empty());
        meta.annotations = meta
            .annotations
            .take()
            .filter(|annotations| !annotations.is_empty());
    }
    template.metadata = template
        .metadata
        .filter(|meta| *meta != ObjectMeta::default());
    template
}

/// Returns a short name for the template.
///
/// It depends on nothing but the template and `collisions`, so a controller
/// that is restarted between two writes creates the same `ReplicaSet` again.
pub(super) fn hash(template: &PodTemplateSpec, collisions: i32) -> String {
    let bytes =
        serde_json::to_vec(&without_hash(template)).expect("a template has string keys only");
    let salt = if collisions == 0 {
        Vec::new()
    } else {
        collisions.to_le_bytes().to_vec()
    };
    fnv32a(bytes.iter().chain(&salt))
        .to_string()
        .bytes()
        .map(|digit| char::from(ALPHABET[usize::from(digit) % ALPHABET.len()]))
        .collect()
}

fn fnv32a<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    bytes.fold(0x811c_9dc5, |hash, &byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}
