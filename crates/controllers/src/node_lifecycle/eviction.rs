//! Pods that have to leave a node, and pods whose node is gone.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Pod, Taint, Toleration};

use super::{delete_pod, node_name, requeue, set_condition};
use crate::change::{Change, EventKind, name};
use crate::pod;

/// Time between the disappearance of a node and the removal of its pods: its
/// agent may just be registering anew.
const QUARANTINE: SignedDuration = SignedDuration::from_secs(40);

/// Deletes the pod if it tolerates a `NoExecute` taint not or no longer.
pub(super) fn decide(node: &Node, pod: &Pod, now: Timestamp) -> Vec<Change> {
    if pod.metadata.deletion_timestamp.is_some() || pod::is_terminal(pod) {
        return Vec::new();
    }
    let taints = node
        .spec
        .iter()
        .flat_map(|spec| spec.taints.iter().flatten());
    let Some(due) = taints
        .filter(|taint| taint.effect == "NoExecute")
        .filter_map(|taint| deadline(pod, taint, now))
        .min()
    else {
        return Vec::new();
    };
    if due > now {
        return vec![requeue(
            due.duration_since(now) + SignedDuration::from_millis(1),
        )];
    }
    let mut doomed = pod.clone();
    let message = "Taint manager: deleting due to NoExecute taint";
    set_condition(
        &mut doomed,
        "DisruptionTarget",
        "True",
        "DeletionByTaintManager",
        message,
        now,
    );
    let told = format!(
        "Marking for deletion Pod {}/{} on node {}",
        pod.metadata.namespace.as_deref().unwrap_or_default(),
        name(pod),
        node_name(node)
    );
    Change::update_status(pod, &doomed)
        .into_iter()
        .chain([
            Change::event(pod, EventKind::Normal, "TaintManagerEviction", told),
            delete_pod(pod, None),
        ])
        .collect()
}

/// When the pod has to leave because of this taint; none if it may stay.
fn deadline(pod: &Pod, taint: &Taint, now: Timestamp) -> Option<Timestamp> {
    let tolerations: Vec<&Toleration> = pod
        .spec
        .iter()
        .flat_map(|spec| spec.tolerations.iter().flatten())
        .filter(|toleration| tolerates(toleration, taint))
        .collect();
    if tolerations.is_empty() {
        return Some(now);
    }
    // Several may match: the shortest patience counts.
    let patience = tolerations
        .iter()
        .filter_map(|toleration| toleration.toleration_seconds)
        .min()?;
    let since = taint.time_added.as_ref().map_or(now, |time| time.0);
    since
        .checked_add(SignedDuration::from_secs(patience.max(0)))
        .ok()
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let given = |text: &Option<String>| text.clone().unwrap_or_default();
    let (key, effect, operator) = (
        given(&toleration.key),
        given(&toleration.effect),
        given(&toleration.operator),
    );
    if !effect.is_empty() && effect != taint.effect || !key.is_empty() && key != taint.key {
        return false;
    }
    match operator.as_str() {
        "Exists" => true,
        "" | "Equal" => !key.is_empty() && given(&toleration.value) == given(&taint.value),
        _ => false,
    }
}

/// Returns what happens to a pod bound to a node that does not exist.
///
/// `missing_since` is when its absence was first seen. Nobody is left to end
/// the pod gracefully, so it is deleted at once.
pub fn decide_orphan(pod: &Pod, missing_since: Timestamp, now: Timestamp) -> Vec<Change> {
    let left = QUARANTINE - now.duration_since(missing_since);
    if left > SignedDuration::ZERO {
        return vec![requeue(left + SignedDuration::from_millis(1))];
    }
    let mut doomed = pod.clone();
    if !pod::is_terminal(pod) {
        let message = "PodGC: node no longer exists";
        set_condition(
            &mut doomed,
            "DisruptionTarget",
            "True",
            "DeletionByPodGC",
            message,
            now,
        );
        doomed.status.get_or_insert_default().phase = Some("Failed".to_owned());
    }
    Change::update_status(pod, &doomed)
        .into_iter()
        .chain([delete_pod(pod, Some(0))])
        .collect()
}
