//! Node selectors, node affinity, and the terms of affinity between pods.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Node, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

type Labels = BTreeMap<String, String>;

/// Tells whether the pod's selector and required affinity accept the node.
pub fn accepts_node(pod: &Pod, node: &Node) -> bool {
    let Some(spec) = &pod.spec else { return true };
    let labels = node.metadata.labels.as_ref();
    let selected = spec
        .node_selector
        .iter()
        .flatten()
        .all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value));
    let required = spec
        .affinity
        .as_ref()
        .and_then(|affinity| affinity.node_affinity.as_ref())
        .and_then(|affinity| {
            affinity
                .required_during_scheduling_ignored_during_execution
                .as_ref()
        });
    selected
        && required.is_none_or(|required| {
            required
                .node_selector_terms
                .iter()
                .any(|term| term_matches(term, node))
        })
}

/// The sum of the weights of preferred terms the node satisfies.
pub(crate) fn node_preference(pod: &Pod, node: &Node) -> i64 {
    pod.spec
        .iter()
        .filter_map(|spec| spec.affinity.as_ref()?.node_affinity.as_ref())
        .flat_map(|affinity| {
            affinity
                .preferred_during_scheduling_ignored_during_execution
                .iter()
                .flatten()
        })
        .filter(|preferred| term_matches(&preferred.preference, node))
        .map(|preferred| i64::from(preferred.weight))
        .sum()
}

/// An empty term matches nothing.
fn term_matches(term: &NodeSelectorTerm, node: &Node) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    let label = |key: &str| {
        node.metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get(key))
    };
    expressions
        .iter()
        .all(|requirement| satisfied(requirement, label(&requirement.key)))
        && fields.iter().all(|requirement| {
            requirement.key == "metadata.name"
                && satisfied(requirement, node.metadata.name.as_ref())
        })
}

fn satisfied(requirement: &NodeSelectorRequirement, value: Option<&String>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let compared = || {
        let value: i64 = value?.parse().ok()?;
        let bound: i64 = values.first()?.parse().ok()?;
        Some(value.cmp(&bound))
    };
    match requirement.operator.as_str() {
        "In" => value.is_some_and(|value| values.contains(value)),
        "NotIn" => !value.is_some_and(|value| values.contains(value)),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compared() == Some(std::cmp::Ordering::Greater),
        "Lt" => compared() == Some(std::cmp::Ordering::Less),
        _ => false,
    }
}

/// Required terms by which the pod wants to be near others.
pub(crate) fn near(pod: &Pod) -> &[PodAffinityTerm] {
    pod.spec
        .as_ref()
        .and_then(|spec| spec.affinity.as_ref()?.pod_affinity.as_ref())
        .and_then(|affinity| {
            affinity
                .required_during_scheduling_ignored_during_execution
                .as_deref()
        })
        .unwrap_or_default()
}

/// Required terms by which the pod wants to be away from others.
pub(crate) fn away(pod: &Pod) -> &[PodAffinityTerm] {
    pod.spec
        .as_ref()
        .and_then(|spec| spec.affinity.as_ref()?.pod_anti_affinity.as_ref())
        .and_then(|affinity| {
            affinity
                .required_during_scheduling_ignored_during_execution
                .as_deref()
        })
        .unwrap_or_default()
}

/// Preferred terms with their weight; negative ones ask to be away.
pub(crate) fn pod_preferences(pod: &Pod) -> Vec<(i64, &PodAffinityTerm)> {
    let Some(affinity) = pod.spec.as_ref().and_then(|spec| spec.affinity.as_ref()) else {
        return Vec::new();
    };
    let near = affinity.pod_affinity.iter().flat_map(|near| {
        near.preferred_during_scheduling_ignored_during_execution
            .iter()
            .flatten()
    });
    let away = affinity.pod_anti_affinity.iter().flat_map(|away| {
        away.preferred_during_scheduling_ignored_during_execution
            .iter()
            .flatten()
    });
    near.map(|term| (i64::from(term.weight), &term.pod_affinity_term))
        .chain(away.map(|term| (-i64::from(term.weight), &term.pod_affinity_term)))
        .collect()
}

/// Tells whether a term of `owner` speaks of `other`.
pub(crate) fn speaks_of(term: &PodAffinityTerm, owner: &Pod, other: &Pod) -> bool {
    let namespace = other.metadata.namespace.as_ref();
    let named = term.namespaces.as_deref().unwrap_or_default();
    let everywhere = term.namespace_selector.is_some();
    let in_reach = everywhere
        || if named.is_empty() {
            owner.metadata.namespace.as_ref() == namespace
        } else {
            namespace.is_some_and(|namespace| named.contains(namespace))
        };
    in_reach
        && term
            .label_selector
            .as_ref()
            .is_some_and(|selector| selects(selector, other.metadata.labels.as_ref()))
}

/// Tells whether a label selector accepts the labels.
pub(crate) fn selects(selector: &LabelSelector, labels: Option<&Labels>) -> bool {
    let get = |key: &str| labels.and_then(|labels| labels.get(key));
    selector
        .match_labels
        .iter()
        .flatten()
        .all(|(key, value)| get(key) == Some(value))
        && selector
            .match_expressions
            .iter()
            .flatten()
            .all(|requirement| {
                let values = requirement.values.as_deref().unwrap_or_default();
                let value = get(&requirement.key);
                match requirement.operator.as_str() {
                    "In" => value.is_some_and(|value| values.contains(value)),
                    "NotIn" => !value.is_some_and(|value| values.contains(value)),
                    "Exists" => value.is_some(),
                    "DoesNotExist" => value.is_none(),
                    _ => false,
                }
            })
}
