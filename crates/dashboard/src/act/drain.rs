//! What a drain of a node would move, and what stands in its way.

use std::sync::Arc;

use crate::project::pod::Pod;
use crate::site::Kinds;

/// What becomes of the pods of a node.
#[derive(Debug, Default)]
pub(crate) struct Moves {
    /// Leave, and their controllers make them anew elsewhere.
    pub(crate) leave: Vec<Arc<Pod>>,
    /// Belong to the node and stay.
    pub(crate) stay: Vec<Arc<Pod>>,
    /// Nobody would make them anew; they are lost.
    pub(crate) lost: Vec<Arc<Pod>>,
    /// Services that would have no pod for a while.
    pub(crate) alone: Vec<String>,
    /// Names of budgets that allow nothing now.
    pub(crate) blocked: Vec<String>,
    /// Pods whose local data goes with them.
    pub(crate) local_data: usize,
    /// Whether what leaves fits on the other nodes, by what it asks for.
    pub(crate) room: bool,
}

pub(crate) fn moves(kinds: &Kinds, node: &str) -> Moves {
    let mut moves = Moves::default();
    for pod in kinds
        .pods
        .values()
        .filter(|pod| pod.node == node && !pod.finished())
    {
        if pod.daemon {
            moves.stay.push(pod.clone());
        } else if pod.controller.is_none() {
            moves.lost.push(pod.clone());
        } else {
            moves.leave.push(pod.clone());
        }
    }
    for pod in &moves.leave {
        moves.local_data += usize::from(pod.local_data);
        if let Some(workload) = kinds.workload_of(pod)
            && workload.desired == 1
        {
            moves.alone.push(workload.name.clone());
        }
        let budgets = kinds
            .budgets
            .values()
            .filter(|budget| budget.allowed == 0 && budget.covers(&pod.namespace, &pod.labels));
        moves
            .blocked
            .extend(budgets.map(|budget| budget.name.clone()));
    }
    moves.alone.sort();
    moves.alone.dedup();
    moves.blocked.sort();
    moves.blocked.dedup();
    moves.room = room(kinds, node, &moves.leave);
    moves
}

/// Adds up what is free elsewhere; the scheduler may still find a reason against it.
fn room(kinds: &Kinds, node: &str, leave: &[Arc<Pod>]) -> bool {
    let loads = crate::page::nodes::loads(kinds);
    let (mut cpu, mut memory, mut pods) = (0, 0, 0);
    for other in kinds.nodes.values().filter(|other| {
        other.name != node && !other.cordoned && other.ready == crate::project::node::Ready::Yes
    }) {
        let load = loads.get(other.name.as_str()).copied().unwrap_or_default();
        cpu += (other.cpu_millis - load.cpu_millis).max(0);
        memory += (other.memory_bytes - load.memory_bytes).max(0);
        pods += (other.pods_max - load.pods).max(0);
    }
    let count = i64::try_from(leave.len()).unwrap_or(i64::MAX);
    leave.iter().map(|pod| pod.cpu_millis).sum::<i64>() <= cpu
        && leave.iter().map(|pod| pod.memory_bytes).sum::<i64>() <= memory
        && count <= pods
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::project::{node, other, pod};

    fn kinds() -> Kinds {
        let mut kinds = Kinds::default();
        let mut add = |name: &str, node: &str, owner: Option<&str>, volumes: serde_json::Value| {
            let owners = owner.map(|kind| json!([{"kind": kind, "name": "x", "controller": true, "apiVersion": "v1", "uid": "u"}]));
            let object = serde_json::from_value(json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": name, "namespace": "dev", "labels": {"app": name}, "ownerReferences": owners},
                "spec": {"nodeName": node, "volumes": volumes, "containers": [{"name": "c", "resources": {"requests": {"cpu": "500m"}}}]},
                "status": {"phase": "Running"},
            }));
            kinds
                .pods
                .insert(format!("dev/{name}"), Arc::new(pod::pod(&object.unwrap())));
        };
        add(
            "web",
            "a",
            Some("ReplicaSet"),
            json!([{"name": "cache", "emptyDir": {}}]),
        );
        add("agent", "a", Some("DaemonSet"), json!([]));
        add("by-hand", "a", None, json!([]));
        add("other", "b", Some("ReplicaSet"), json!([]));
        for (name, cpu) in [("a", "2"), ("b", "1")] {
            let object = serde_json::from_value(json!({
                "apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
                "status": {"conditions": [{"type": "Ready", "status": "True"}], "allocatable": {"cpu": cpu, "memory": "1Gi", "pods": "10"}},
            }));
            kinds
                .nodes
                .insert(name.into(), Arc::new(node::node(&object.unwrap())));
        }
        kinds
    }

    #[test]
    fn a_drain_tells_who_leaves_who_stays_and_who_is_lost() {
        let moves = moves(&kinds(), "a");
        let names = |pods: &[Arc<Pod>]| pods.iter().map(|pod| pod.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&moves.leave), ["web"]);
        assert_eq!(names(&moves.stay), ["agent"]);
        assert_eq!(names(&moves.lost), ["by-hand"]);
        assert_eq!(moves.local_data, 1);
        assert!(moves.room);
    }

    #[test]
    fn no_room_elsewhere_and_budgets_are_told() {
        let mut kinds = kinds();
        kinds.nodes.remove("b");
        let budget = serde_json::from_value(json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web", "namespace": "dev"},
            "spec": {"selector": {"matchLabels": {"app": "web"}}}, "status": {"disruptionsAllowed": 0},
        }));
        kinds
            .budgets
            .insert("dev/web".into(), Arc::new(other::budget(&budget.unwrap())));
        let moves = moves(&kinds, "a");
        assert!(!moves.room);
        assert_eq!(moves.blocked, ["web"]);
    }
}
