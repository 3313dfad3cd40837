//! Who a pod of a `StatefulSet` is: its number, and all that follows from it.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaimVolumeSource, Pod, Volume};

use super::{REVISION_LABEL, claims};
use crate::change::name;
use crate::revision::Revision;
use crate::template::new_pod;

const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
const POD_INDEX: &str = "apps.kubernetes.io/pod-index";

/// The number of a pod that is named as one of the set.
pub(super) fn ordinal(set: &StatefulSet, pod: &Pod) -> Option<i32> {
    let (parent, number) = name(pod).rsplit_once('-')?;
    let is_plain = number == "0" || !number.starts_with('0');
    if parent != name(set) || !is_plain || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    number.parse().ok()
}

pub(super) fn pod_name(set: &StatefulSet, ordinal: i32) -> String {
    format!("{}-{ordinal}", name(set))
}

/// The name of the revision a pod was made from.
pub(super) fn revision(pod: &Pod) -> &str {
    pod.metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get(REVISION_LABEL))
        .map_or("", String::as_str)
}

/// The pod with this number, made from `revision`.
pub(super) fn create(set: &StatefulSet, revision: &Revision, ordinal: i32) -> Pod {
    let mut pod = new_pod(&revision.template, set);
    let own = pod_name(set, ordinal);
    pod.metadata.name = Some(own.clone());
    label(set, &mut pod, ordinal);
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(REVISION_LABEL.to_owned(), revision.name.clone());
    let spec = pod.spec.get_or_insert_default();
    spec.hostname = Some(own);
    let service = set.spec.as_ref().and_then(|spec| spec.service_name.clone());
    spec.subdomain = service.filter(|service| !service.is_empty());
    let templates = claims::templates(set);
    let mut volumes: Vec<Volume> = templates
        .iter()
        .map(|template| Volume {
            name: name(template).to_owned(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: claims::claim_name(set, template, ordinal),
                read_only: None,
            }),
            ..Volume::default()
        })
        .collect();
    let others = spec.volumes.take().unwrap_or_default();
    volumes.extend(others.into_iter().filter(|volume| {
        !templates
            .iter()
            .any(|template| name(template) == volume.name)
    }));
    spec.volumes = (!volumes.is_empty()).then_some(volumes);
    pod
}

/// The pod with the labels its number asks for; none if it has them.
pub(super) fn relabelled(set: &StatefulSet, pod: &Pod, ordinal: i32) -> Option<Pod> {
    let mut wanted = pod.clone();
    label(set, &mut wanted, ordinal);
    (wanted.metadata.labels != pod.metadata.labels).then_some(wanted)
}

fn label(set: &StatefulSet, pod: &mut Pod, ordinal: i32) {
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(POD_NAME.to_owned(), pod_name(set, ordinal));
    labels.insert(POD_INDEX.to_owned(), ordinal.to_string());
}
