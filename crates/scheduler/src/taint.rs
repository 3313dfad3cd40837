//! Taints keep pods off a node, tolerations let them on.

use k8s_openapi::api::core::v1::{Node, Pod, Taint, Toleration};

/// Tells whether the node has a taint with this effect the pod does not tolerate.
pub fn is_untolerated(pod: &Pod, node: &Node, effects: &[&str]) -> bool {
    untolerated(pod, node, effects) > 0
}

/// Counts the taints with these effects the pod does not tolerate.
pub(crate) fn untolerated(pod: &Pod, node: &Node, effects: &[&str]) -> usize {
    let tolerations = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.tolerations.as_deref())
        .unwrap_or_default();
    taints(node)
        .filter(|taint| effects.contains(&taint.effect.as_str()))
        .filter(|taint| {
            !tolerations
                .iter()
                .any(|toleration| tolerates(toleration, taint))
        })
        .count()
}

/// Tells whether the pod tolerates being on an unschedulable node.
pub(crate) fn tolerates_unschedulable(pod: &Pod) -> bool {
    let cordon = Taint {
        key: "node.kubernetes.io/unschedulable".to_owned(),
        effect: "NoSchedule".to_owned(),
        ..Taint::default()
    };
    pod.spec
        .iter()
        .flat_map(|spec| spec.tolerations.iter().flatten())
        .any(|toleration| tolerates(toleration, &cordon))
}

fn taints(node: &Node) -> impl Iterator<Item = &Taint> {
    node.spec
        .iter()
        .flat_map(|spec| spec.taints.iter().flatten())
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let (key, effect) = (text(&toleration.key), text(&toleration.effect));
    let effect_fits = effect.is_empty() || effect == taint.effect;
    let key_fits = key.is_empty() || key == taint.key;
    let value_fits = match text(&toleration.operator).as_str() {
        "Exists" => true,
        "" | "Equal" => !key.is_empty() && text(&toleration.value) == text(&taint.value),
        _ => false,
    };
    effect_fits && key_fits && value_fits
}
