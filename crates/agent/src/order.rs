//! Which objects are written before which.

use serde_json::Value;

/// Kinds by the stage in which they are written; kinds not listed go with the workloads.
const STAGES: [&[&str]; 8] = [
    &[
        "Namespace",
        "CustomResourceDefinition",
        "StorageClass",
        "PriorityClass",
    ],
    &["ServiceAccount", "Role", "ClusterRole"],
    &["RoleBinding", "ClusterRoleBinding"],
    &["ConfigMap", "Secret", "PersistentVolumeClaim"],
    &["Service"],
    &[],
    &[
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
        "Ingress",
        "NetworkPolicy",
    ],
    &[
        "MutatingWebhookConfiguration",
        "ValidatingWebhookConfiguration",
    ],
];
/// Index of the stage of everything that runs.
const WORKLOADS: usize = 5;

/// Returns the stage of a kind; what others refer to has a lower one.
pub(crate) fn stage(kind: &str) -> usize {
    STAGES
        .iter()
        .position(|kinds| kinds.contains(&kind))
        .unwrap_or(WORKLOADS)
}

/// Groups what is written together, in order, without empty groups.
pub(crate) fn staged<T>(items: Vec<T>, kind: impl Fn(&T) -> &str) -> Vec<Vec<T>> {
    let mut stages: Vec<Vec<T>> = STAGES.iter().map(|_| Vec::new()).collect();
    for item in items {
        let index = stage(kind(&item));
        stages[index].push(item);
    }
    stages.retain(|stage| !stage.is_empty());
    stages
}

pub(crate) fn kind_of(object: &Value) -> &str {
    object["kind"].as_str().unwrap_or_default()
}
