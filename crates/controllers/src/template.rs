//! Pod templates: when two are the same, and the pod one describes.

use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{Metadata, Resource};

use crate::change::name;
use crate::ownership::controller_reference;

/// Returns the template without the label `ignored`; empty maps count as absent.
pub(crate) fn normal(template: &PodTemplateSpec, ignored: &str) -> PodTemplateSpec {
    let mut template = template.clone();
    if let Some(meta) = &mut template.metadata {
        if let Some(labels) = &mut meta.labels {
            labels.remove(ignored);
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

/// Tells whether two templates describe the same pod, apart from the label `ignored`.
pub(crate) fn same(one: &PodTemplateSpec, other: &PodTemplateSpec, ignored: &str) -> bool {
    normal(one, ignored) == normal(other, ignored)
}

/// The pod the template describes, owned by `owner` and still without a name.
pub(crate) fn new_pod<K>(template: &PodTemplateSpec, owner: &K) -> Pod
where
    K: Resource + Metadata<Ty = ObjectMeta>,
{
    let meta = template.metadata.clone().unwrap_or_default();
    Pod {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", name(owner))),
            namespace: owner.metadata().namespace.clone(),
            labels: meta.labels,
            annotations: meta.annotations,
            finalizers: meta.finalizers,
            owner_references: Some(vec![controller_reference(owner)]),
            ..ObjectMeta::default()
        },
        spec: template.spec.clone(),
        status: None,
    }
}
