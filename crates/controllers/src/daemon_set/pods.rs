//! The pods of a `DaemonSet`: tied to one node, and patient with its troubles.

use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetSpec};
use k8s_openapi::api::core::v1::{
    NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod, Toleration,
};

use super::HASH_LABEL;
use crate::change::name;
use crate::pod;
use crate::revision::Revision;
use crate::template::new_pod;

const GENERATION_ANNOTATION: &str = "deprecated.daemonset.template.generation";
const GENERATION_LABEL: &str = "pod-template-generation";

/// Troubles of a node a daemon does not run away from.
const TOLERATED: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];
const NETWORK: (&str, &str) = ("node.kubernetes.io/network-unavailable", "NoSchedule");

/// A pod of the set that is not yet tied to a node.
pub(super) fn model(set: &DaemonSet, spec: &DaemonSetSpec) -> Pod {
    let mut pod = new_pod(&spec.template, set);
    let pod_spec = pod.spec.get_or_insert_default();
    let mut tolerated = TOLERATED.to_vec();
    if pod_spec.host_network == Some(true) {
        tolerated.push(NETWORK);
    }
    let tolerations = pod_spec.tolerations.get_or_insert_default();
    for (key, effect) in tolerated {
        let toleration = Toleration {
            key: Some(key.to_owned()),
            operator: Some("Exists".to_owned()),
            effect: Some(effect.to_owned()),
            ..Toleration::default()
        };
        if !tolerations.contains(&toleration) {
            tolerations.push(toleration);
        }
    }
    pod
}

/// The pod for one node, made from the present template.
pub(super) fn create(
    set: &DaemonSet,
    spec: &DaemonSetSpec,
    revision: &Revision,
    node: &str,
) -> Pod {
    let mut pod = model(set, spec);
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(HASH_LABEL.to_owned(), revision.hash.clone());
    if let Some(generation) = set
        .metadata
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get(GENERATION_ANNOTATION))
    {
        labels.insert(GENERATION_LABEL.to_owned(), generation.clone());
    }
    let target = NodeSelectorTerm {
        match_fields: Some(vec![NodeSelectorRequirement {
            key: "metadata.name".to_owned(),
            operator: "In".to_owned(),
            values: Some(vec![node.to_owned()]),
        }]),
        match_expressions: None,
    };
    pod.spec
        .get_or_insert_default()
        .affinity
        .get_or_insert_default()
        .node_affinity
        .get_or_insert_default()
        .required_during_scheduling_ignored_during_execution = Some(NodeSelector {
        node_selector_terms: vec![target],
    });
    pod
}

/// The node the pod is bound to, or made for.
pub(super) fn node_of(pod: &Pod) -> Option<&str> {
    let spec = pod.spec.as_ref()?;
    if let Some(bound) = spec.node_name.as_deref().filter(|name| !name.is_empty()) {
        return Some(bound);
    }
    let required = spec
        .affinity
        .as_ref()?
        .node_affinity
        .as_ref()?
        .required_during_scheduling_ignored_during_execution
        .as_ref()?;
    required
        .node_selector_terms
        .iter()
        .flat_map(|term| term.match_fields.iter().flatten())
        .find(|field| field.key == "metadata.name" && field.operator == "In")
        .and_then(|field| field.values.as_ref()?.first())
        .map(String::as_str)
}

pub(super) fn is_bound(pod: &Pod) -> bool {
    pod.spec
        .as_ref()
        .and_then(|spec| spec.node_name.as_deref())
        .is_some_and(|name| !name.is_empty())
}

pub(super) fn is_leaving(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// The hash of the revision a pod was made from.
pub(super) fn hash(pod: &Pod) -> &str {
    pod.metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get(HASH_LABEL))
        .map_or("", String::as_str)
}

/// Orders by: bound, running, older, name.
pub(super) fn seniority(pod: &Pod) -> (bool, u8, Option<jiff::Timestamp>, &str) {
    let rank = match pod::phase(pod) {
        "Running" => 0,
        "Pending" => 1,
        _ => 2,
    };
    let created = pod.metadata.creation_timestamp.as_ref();
    (!is_bound(pod), rank, created.map(|time| time.0), name(pod))
}
