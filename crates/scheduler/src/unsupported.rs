//! Fields of a pod that would narrow the choice of nodes and are not honoured.

use k8s_openapi::api::core::v1::{Pod, PodAffinityTerm};

/// Returns the path of the first such field the pod uses.
pub(crate) fn field(pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    if spec
        .resource_claims
        .as_ref()
        .is_some_and(|claims| !claims.is_empty())
    {
        return Some("spec.resourceClaims".to_owned());
    }
    spread_field(pod).or_else(|| affinity_field(pod))
}

fn spread_field(pod: &Pod) -> Option<String> {
    let constraints = pod.spec.as_ref()?.topology_spread_constraints.as_ref()?;
    constraints
        .iter()
        .enumerate()
        .find_map(|(index, constraint)| {
            let name = if constraint.min_domains.is_some_and(|least| least != 1) {
                "minDomains"
            } else if constraint
                .match_label_keys
                .as_ref()
                .is_some_and(|keys| !keys.is_empty())
            {
                "matchLabelKeys"
            } else if constraint
                .node_affinity_policy
                .as_deref()
                .is_some_and(|policy| policy != "Honor")
            {
                "nodeAffinityPolicy"
            } else if constraint
                .node_taints_policy
                .as_deref()
                .is_some_and(|policy| policy != "Ignore")
            {
                "nodeTaintsPolicy"
            } else {
                return None;
            };
            Some(format!("spec.topologySpreadConstraints[{index}].{name}"))
        })
}

fn affinity_field(pod: &Pod) -> Option<String> {
    let affinity = pod.spec.as_ref()?.affinity.as_ref()?;
    let near = affinity.pod_affinity.iter().flat_map(|near| {
        let required = near
            .required_during_scheduling_ignored_during_execution
            .iter()
            .flatten();
        let preferred = near
            .preferred_during_scheduling_ignored_during_execution
            .iter()
            .flatten();
        required.chain(preferred.map(|term| &term.pod_affinity_term))
    });
    let away = affinity.pod_anti_affinity.iter().flat_map(|away| {
        let required = away
            .required_during_scheduling_ignored_during_execution
            .iter()
            .flatten();
        let preferred = away
            .preferred_during_scheduling_ignored_during_execution
            .iter()
            .flatten();
        required.chain(preferred.map(|term| &term.pod_affinity_term))
    });
    near.map(|term| ("podAffinity", term))
        .chain(away.map(|term| ("podAntiAffinity", term)))
        .find_map(|(kind, term)| Some(format!("spec.affinity.{kind}: {}", term_field(term)?)))
}

/// An empty namespace selector means every namespace, which is honoured.
fn term_field(term: &PodAffinityTerm) -> Option<&'static str> {
    let selects_some = term.namespace_selector.as_ref().is_some_and(|selector| {
        selector
            .match_labels
            .as_ref()
            .is_some_and(|labels| !labels.is_empty())
            || selector
                .match_expressions
                .as_ref()
                .is_some_and(|expressions| !expressions.is_empty())
    });
    if selects_some {
        Some("namespaceSelector")
    } else if term
        .match_label_keys
        .as_ref()
        .is_some_and(|keys| !keys.is_empty())
    {
        Some("matchLabelKeys")
    } else if term
        .mismatch_label_keys
        .as_ref()
        .is_some_and(|keys| !keys.is_empty())
    {
        Some("mismatchLabelKeys")
    } else {
        None
    }
}
