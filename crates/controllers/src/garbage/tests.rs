//! Rules of garbage collection, on small families of objects.

use serde_json::json;

use super::{FOREGROUND, Graph, Node, ORPHAN, decide};
use crate::change::{Change, Kind, Propagation};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Namespace, Pod};

/// An object by `kind/name`, whose uid is its name.
fn object(id: &str, owners: &[&str], finalizer: Option<&str>) -> Node {
    let (kind, name) = id.split_once('/').unwrap();
    let owners: Vec<_> = owners
        .iter()
        .map(|owner| {
            let (kind, name) = owner.split_once('/').unwrap();
            let api_version = if kind == "Widget" {
                "example.com/v1"
            } else {
                "apps/v1"
            };
            json!({"apiVersion": api_version, "kind": kind, "name": name, "uid": name,
                "controller": true, "blockOwnerDeletion": true})
        })
        .collect();
    let meta = serde_json::from_value(json!({
        "name": name, "namespace": "dev", "uid": name, "resourceVersion": "1", "ownerReferences": owners,
        "finalizers": finalizer.map(|finalizer| vec![finalizer]).unwrap_or_default(),
        "deletionTimestamp": finalizer.map(|_| "1970-01-01T00:00:00Z"),
    }))
    .unwrap();
    let kind = match kind {
        "Deployment" => Kind::of::<Deployment>(),
        "ReplicaSet" => Kind::of::<ReplicaSet>(),
        _ => Kind::of::<Pod>(),
    };
    Node::new(kind, &meta)
}

/// The one place that calls the decision.
#[track_caller]
fn check(objects: &[Node], uid: &str, expected: &[&str]) {
    let mut graph = Graph::default();
    graph.serve(Kind::of::<Deployment>(), true);
    graph.serve(Kind::of::<ReplicaSet>(), true);
    graph.serve(Kind::of::<Namespace>(), false);
    for object in objects {
        graph.apply(object.clone());
    }
    let steps: Vec<String> = decide(&graph, uid)
        .into_iter()
        .map(|change| match change {
            Change::Delete {
                target,
                propagation,
                ..
            } => {
                let how = match propagation {
                    Some(Propagation::Background) => "background",
                    Some(Propagation::Foreground) => "foreground",
                    Some(Propagation::Orphan) => "orphan",
                    None => "default",
                };
                format!("delete {} {how}", target.name)
            }
            Change::ConfirmGone { target, .. } => format!("confirm {} gone", target.name),
            Change::Patch { target, body, .. } => {
                let meta = &body["metadata"];
                let left = meta
                    .get("ownerReferences")
                    .or_else(|| meta.get("finalizers"))
                    .unwrap();
                format!(
                    "patch {} leaves {}",
                    target.name,
                    left.as_array().unwrap().len()
                )
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(steps, expected);
}

#[test]
fn an_object_with_a_living_owner_stays() {
    let objects = [
        object("Deployment/web", &[], None),
        object("ReplicaSet/one", &["Deployment/web"], None),
    ];
    check(&objects, "one", &[]);
}

#[test]
fn an_object_whose_owner_is_gone_is_deleted_after_a_live_read() {
    let objects = [object("ReplicaSet/one", &["Deployment/web"], None)];
    check(
        &objects,
        "one",
        &["confirm web gone", "delete one background"],
    );
}

#[test]
fn one_living_owner_of_two_is_enough() {
    let objects = [
        object("Deployment/web", &[], None),
        object(
            "ReplicaSet/one",
            &["Deployment/web", "Deployment/gone"],
            None,
        ),
    ];
    check(
        &objects,
        "one",
        &["confirm gone gone", "patch one leaves 1"],
    );
}

#[test]
fn an_owner_of_a_kind_nobody_serves_protects_its_dependents() {
    check(&[object("Pod/a", &["Widget/w"], None)], "a", &[]);
}

#[test]
fn orphans_are_set_free_before_the_finalizer_goes() {
    let owner = object("Deployment/web", &[], Some(ORPHAN));
    let objects = [
        owner.clone(),
        object("ReplicaSet/one", &["Deployment/web"], None),
    ];
    check(&objects, "web", &["patch one leaves 0"]);
    check(&[owner], "web", &["patch web leaves 0"]);
}

#[test]
fn foreground_deletion_goes_down_the_tree_and_waits() {
    let owner = object("Deployment/web", &[], Some(FOREGROUND));
    let objects = [
        owner.clone(),
        object("ReplicaSet/one", &["Deployment/web"], None),
        object("Pod/a", &["ReplicaSet/one"], None),
    ];
    check(&objects, "web", &["delete one foreground"]);
    check(&[owner], "web", &["patch web leaves 0"]);
}

#[test]
fn an_owner_in_another_namespace_is_no_owner() {
    let mut owner = object("Deployment/web", &[], None);
    owner.target.namespace = Some("elsewhere".to_owned());
    let objects = [owner, object("ReplicaSet/one", &["Deployment/web"], None)];
    check(
        &objects,
        "one",
        &["confirm web gone", "delete one background"],
    );
}

#[test]
fn removing_an_owner_names_its_dependents_to_look_at() {
    let mut graph = Graph::default();
    graph.apply(object("Deployment/web", &[], None));
    graph.apply(object("ReplicaSet/one", &["Deployment/web"], None));
    assert_eq!(graph.remove("web"), ["one"]);
}

#[test]
fn a_waiting_owner_looks_again_when_its_dependent_is_gone() {
    let mut graph = Graph::default();
    graph.apply(object("Deployment/web", &[], Some(FOREGROUND)));
    graph.apply(object("ReplicaSet/one", &["Deployment/web"], None));
    assert_eq!(graph.remove("one"), ["web"]);
}
