//! Deletion of a namespace: pods first, then all the rest, then the finalizer.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, NamespaceCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::change::{Change, Propagation, Target, name, uid};
use crate::garbage::{Graph, Node};

/// How long to wait for content that somebody else has to let go. Events wake
/// the decision earlier; this only covers lost ones.
const RECHECK: Duration = Duration::from_secs(5);

/// Returns the next step of the deletion; nothing for a namespace that stays.
pub fn decide(namespace: &Namespace, graph: &Graph, now: Timestamp) -> Vec<Change> {
    let finalizes = namespace
        .spec
        .as_ref()
        .and_then(|spec| spec.finalizers.as_ref())
        .is_some_and(|finalizers| finalizers.iter().any(|one| one == "kubernetes"));
    if namespace.metadata.deletion_timestamp.is_none() || !finalizes {
        return Vec::new();
    }
    let content: Vec<&Node> = graph.in_namespace(name(namespace)).collect();
    let pods: Vec<&Node> = content
        .iter()
        .copied()
        .filter(|node| is_pod(node))
        .collect();
    let mut changes: Vec<Change> = status(namespace, &content, now).into_iter().collect();
    // Config maps and secrets outlive the pods that use them.
    let turn = if pods.is_empty() { &content } else { &pods };
    changes.extend(
        turn.iter()
            .filter(|node| !node.is_being_deleted)
            .map(|node| delete(node)),
    );
    if content.is_empty() {
        changes.push(Change::FinalizeNamespace {
            target: Target::of(namespace),
            uid: uid(namespace).to_owned(),
        });
    }
    changes.push(Change::Requeue { after: RECHECK });
    changes
}

fn is_pod(node: &Node) -> bool {
    node.target.kind.kind == "Pod" && node.target.kind.api_version == "v1"
}

fn delete(node: &Node) -> Change {
    Change::Delete {
        target: node.target.clone(),
        uid: node.uid.clone(),
        resource_version: None,
        propagation: Some(Propagation::Background),
        grace_seconds: None,
        announce: None,
    }
}

fn status(namespace: &Namespace, content: &[&Node], now: Timestamp) -> Option<Change> {
    let waiting = content
        .iter()
        .filter(|node| !node.finalizers.is_empty())
        .count();
    let mut wanted = namespace.clone();
    let conditions = wanted
        .status
        .get_or_insert_default()
        .conditions
        .get_or_insert_default();
    let findings = [
        (
            "NamespaceContentRemaining",
            !content.is_empty(),
            (
                "SomeResourcesRemain",
                format!("{} objects remain", content.len()),
            ),
            ("ContentRemoved", "All content successfully removed"),
        ),
        (
            "NamespaceFinalizersRemaining",
            waiting > 0,
            (
                "SomeFinalizersRemain",
                format!("{waiting} objects wait for their finalizers"),
            ),
            (
                "ContentHasNoFinalizers",
                "All content-preserving finalizers finished",
            ),
        ),
    ];
    for (kind, holds, bad, good) in findings {
        let (status, reason, message) = if holds {
            ("True", bad.0, bad.1)
        } else {
            ("False", good.0, good.1.to_owned())
        };
        let known = conditions.iter().find(|condition| condition.type_ == kind);
        let unchanged = known.is_some_and(|known| {
            known.status == status && known.message.as_deref() == Some(message.as_str())
        });
        if unchanged {
            continue;
        }
        conditions.retain(|condition| condition.type_ != kind);
        conditions.push(NamespaceCondition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message),
            last_transition_time: Some(Time(now)),
        });
    }
    Change::update_status(namespace, &wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Kind;
    use k8s_openapi::api::core::v1::{ConfigMap, NamespaceSpec, Pod};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    fn namespace(deleted: bool) -> Namespace {
        Namespace {
            metadata: ObjectMeta {
                name: Some("dev".to_owned()),
                uid: Some("n".to_owned()),
                deletion_timestamp: deleted.then_some(Time(Timestamp::UNIX_EPOCH)),
                ..ObjectMeta::default()
            },
            spec: Some(NamespaceSpec {
                finalizers: Some(vec!["kubernetes".to_owned()]),
            }),
            status: None,
        }
    }

    #[track_caller]
    fn check(deleted: bool, content: &[(Kind, &str, bool)], expected: &[&str]) {
        let mut graph = Graph::default();
        for (kind, name, is_being_deleted) in content {
            let meta = ObjectMeta {
                name: Some((*name).to_owned()),
                namespace: Some("dev".to_owned()),
                uid: Some((*name).to_owned()),
                deletion_timestamp: is_being_deleted.then_some(Time(Timestamp::UNIX_EPOCH)),
                ..ObjectMeta::default()
            };
            graph.apply(Node::new(kind.clone(), &meta));
        }
        let steps: Vec<String> = decide(&namespace(deleted), &graph, Timestamp::UNIX_EPOCH)
            .into_iter()
            .filter_map(|change| match change {
                Change::Delete { target, .. } => Some(format!("delete {}", target.name)),
                Change::FinalizeNamespace { .. } => Some("finalize".to_owned()),
                _ => None,
            })
            .collect();
        assert_eq!(steps, expected);
    }

    #[test]
    fn pods_go_before_everything_else() {
        let (pod, map) = (Kind::of::<Pod>(), Kind::of::<ConfigMap>());
        check(
            true,
            &[
                (pod.clone(), "web", false),
                (map.clone(), "settings", false),
            ],
            &["delete web"],
        );
        check(
            true,
            &[(pod, "web", true), (map.clone(), "settings", false)],
            &[],
        );
        check(true, &[(map, "settings", false)], &["delete settings"]);
    }

    #[test]
    fn an_empty_namespace_is_finalized() {
        check(true, &[], &["finalize"]);
    }

    #[test]
    fn a_namespace_that_stays_is_left_alone() {
        check(false, &[(Kind::of::<Pod>(), "web", false)], &[]);
    }
}
