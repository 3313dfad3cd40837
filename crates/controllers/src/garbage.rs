//! Garbage collection: what the deletion of an owner means for its dependents.

mod graph;
#[cfg(test)]
mod tests;

use serde_json::json;

pub use graph::{Graph, Node};

use crate::change::{Change, Part, Propagation};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

/// The finalizer of an object that waits until its blocking dependents are gone.
pub const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer of an object whose dependents are to be set free first.
pub const ORPHAN: &str = "orphan";

/// The owners of an object, by what became of them.
#[derive(Default)]
struct Owners<'a> {
    solid: Vec<&'a OwnerReference>,
    dangling: Vec<&'a OwnerReference>,
    waiting: Vec<&'a OwnerReference>,
    /// Owners of a kind this API does not serve: nobody can tell whether they live.
    unknown: usize,
}

/// Returns what should happen to the object with this uid.
///
/// Cheap when nothing has to happen, which is the normal case: it is asked for
/// every object that appears and every dependent of one that vanishes.
pub fn decide(graph: &Graph, uid: &str) -> Vec<Change> {
    let Some(node) = graph.get(uid) else {
        return Vec::new();
    };
    if node.is_being_deleted {
        return if node.has_finalizer(ORPHAN) {
            orphan_dependents(graph, node)
        } else if node.has_finalizer(FOREGROUND) {
            delete_dependents(graph, node)
        } else {
            Vec::new()
        };
    }
    if node.owners.is_empty() {
        return Vec::new();
    }
    let owners = classify(graph, node);
    if owners.unknown > 0 || (owners.dangling.is_empty() && owners.waiting.is_empty()) {
        return Vec::new();
    }
    // The graph is a cache: what it does not know may just not have arrived.
    let mut changes: Vec<Change> = owners
        .dangling
        .iter()
        .filter_map(|owner| graph.target_of(owner, node))
        .map(|(target, uid)| Change::ConfirmGone { target, uid })
        .collect();
    if !owners.solid.is_empty() {
        let gone: Vec<&str> = owners
            .dangling
            .iter()
            .chain(&owners.waiting)
            .map(|owner| owner.uid.as_str())
            .collect();
        changes.push(without_owners(node, &gone));
        return changes;
    }
    let waits = !owners.waiting.is_empty() && graph.dependents(&node.uid).next().is_some();
    let propagation = if waits || node.has_finalizer(FOREGROUND) {
        Propagation::Foreground
    } else if node.has_finalizer(ORPHAN) {
        Propagation::Orphan
    } else {
        Propagation::Background
    };
    changes.push(delete(node, propagation));
    changes
}

fn classify<'a>(graph: &Graph, node: &'a Node) -> Owners<'a> {
    let mut owners = Owners::default();
    for owner in &node.owners {
        match graph.owner(owner, node) {
            Some(found) if found.is_being_deleted && found.has_finalizer(FOREGROUND) => {
                owners.waiting.push(owner);
            }
            Some(_) => owners.solid.push(owner),
            None if graph.target_of(owner, node).is_none() => owners.unknown += 1,
            None => owners.dangling.push(owner),
        }
    }
    owners
}

/// Sets the dependents free; the finalizer goes when none is left.
fn orphan_dependents(graph: &Graph, node: &Node) -> Vec<Change> {
    let mut changes: Vec<Change> = graph
        .dependents(&node.uid)
        .map(|dependent| without_owners(dependent, &[&node.uid]))
        .collect();
    if changes.is_empty() {
        changes.push(without_finalizer(node, ORPHAN));
    }
    changes
}

/// Deletes the dependents; the finalizer goes when no blocking one is left.
fn delete_dependents(graph: &Graph, node: &Node) -> Vec<Change> {
    let mut is_blocked = false;
    let mut changes = Vec::new();
    for dependent in graph.dependents(&node.uid) {
        let blocks = dependent
            .owners
            .iter()
            .any(|owner| owner.uid == node.uid && owner.block_owner_deletion == Some(true));
        is_blocked |= blocks;
        if !dependent.is_being_deleted {
            changes.extend(decide(graph, &dependent.uid));
        }
    }
    if !is_blocked {
        changes.push(without_finalizer(node, FOREGROUND));
    }
    changes
}

fn delete(node: &Node, propagation: Propagation) -> Change {
    Change::Delete {
        target: node.target.clone(),
        uid: node.uid.clone(),
        resource_version: Some(node.resource_version.clone()),
        propagation: Some(propagation),
        grace_seconds: None,
        announce: None,
    }
}

fn without_owners(node: &Node, gone: &[&str]) -> Change {
    let left: Vec<&OwnerReference> = node
        .owners
        .iter()
        .filter(|owner| !gone.contains(&owner.uid.as_str()))
        .collect();
    patch(node, "ownerReferences", &json!(left))
}

fn without_finalizer(node: &Node, finalizer: &str) -> Change {
    let left: Vec<&String> = node
        .finalizers
        .iter()
        .filter(|one| *one != finalizer)
        .collect();
    patch(node, "finalizers", &json!(left))
}

/// Lists are replaced whole, so the resource version must not have moved.
fn patch(node: &Node, field: &str, value: &serde_json::Value) -> Change {
    let body = json!({"metadata": {
        "uid": node.uid,
        "resourceVersion": node.resource_version,
        field: value,
    }});
    Change::Patch {
        target: node.target.clone(),
        part: Part::Main,
        body,
    }
}
