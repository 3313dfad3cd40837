//! Finding objects, and telling the right service.

use serde_json::json;

use super::*;
use crate::fixture;

fn scope(kind: &str) -> Scope {
    Scope {
        api_version: "v1".to_owned(),
        kind: kind.to_owned(),
        namespace: "ns".to_owned(),
    }
}

fn object(kind: &str, name: &str, uid: &str, owner: Option<&str>) -> Value {
    let owners: Vec<Value> = owner
        .iter()
        .map(|uid| json!({"controller": true, "uid": uid}))
        .collect();
    let labels = if owner.is_none() {
        json!({SERVICE_LABEL: "web", ENVIRONMENT_LABEL: "dev"})
    } else {
        json!({})
    };
    json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "ns", "uid": uid,
        "labels": labels, "ownerReferences": owners}})
}

fn web() -> Owner {
    Owner {
        environment: fixture::dev(),
        service: fixture::web(),
    }
}

fn named(kind: &str, name: &str) -> Reference {
    Reference::new("v1", kind, "ns", name)
}

#[test]
fn a_change_of_a_pod_wakes_the_service_of_its_deployment() {
    let world = World::default();
    let mut changes = world.listen(&web());
    world.put(
        &scope("Deployment"),
        &object("Deployment", "web", "d", None),
    );
    world.put(
        &scope("ReplicaSet"),
        &object("ReplicaSet", "web-1", "r", Some("d")),
    );
    changes.mark_unchanged();
    world.put(&scope("Pod"), &object("Pod", "web-1-x", "p", Some("r")));
    assert!(changes.has_changed().unwrap());
    assert_eq!(world.descendants("d").len(), 2);
    changes.mark_unchanged();
    world.gone(&scope("Pod"), &object("Pod", "web-1-x", "p", Some("r")));
    assert!(changes.has_changed().unwrap());
    assert_eq!(world.descendants("d").len(), 1);
    changes.mark_unchanged();
    world.put(
        &scope("Pod"),
        &object("Pod", "other", "q", Some("elsewhere")),
    );
    assert!(!changes.has_changed().unwrap());
}

#[test]
fn a_new_list_removes_what_is_not_in_it() {
    let world = World::default();
    assert!(!world.is_listed(&scope("Service")));
    world.reset(
        &scope("Service"),
        vec![
            object("Service", "a", "1", None),
            object("Service", "b", "2", None),
        ],
    );
    world.put(&scope("Pod"), &object("Pod", "a", "9", None));
    world.reset(&scope("Service"), vec![object("Service", "b", "3", None)]);
    assert!(world.is_listed(&scope("Service")));
    assert!(world.find(&named("Service", "a")).is_none());
    assert_eq!(
        world.find(&named("Service", "b")).unwrap().uid(),
        "3",
        "made anew under the old name"
    );
    assert!(
        world.find(&named("Pod", "a")).is_some(),
        "other kinds are not touched"
    );
}

#[test]
fn the_end_of_an_old_object_does_not_hide_the_new_one_of_its_name() {
    let world = World::default();
    let old = object("Service", "a", "old", None);
    world.put(&scope("Service"), &old);
    world.put(&scope("Service"), &object("Service", "a", "new", None));
    world.gone(&scope("Service"), &old);
    assert_eq!(world.find(&named("Service", "a")).unwrap().uid(), "new");
}

#[test]
fn the_same_object_is_found_under_any_version_of_its_group() {
    let world = World::default();
    let mut made = object("Widget", "a", "1", None);
    made["apiVersion"] = json!("example.org/v1");
    world.put(&scope("Widget"), &made);
    assert!(
        world
            .find(&Reference::new("example.org/v2", "Widget", "ns", "a"))
            .is_some()
    );
    assert!(world.find(&named("Widget", "a")).is_none());
}

#[test]
fn a_circle_of_controllers_ends() {
    let world = World::default();
    world.put(&scope("Pod"), &object("Pod", "a", "1", Some("2")));
    world.put(&scope("Pod"), &object("Pod", "b", "2", Some("1")));
    world.put(&scope("Pod"), &object("Pod", "b", "2", Some("1")));
}

#[test]
fn content_nobody_reads_is_not_kept_but_counts_in_the_fingerprint() {
    let world = World::default();
    let mut made = object("ConfigMap", "a", "1", None);
    made["data"] = json!({"key": "one"});
    world.put(&scope("ConfigMap"), &made);
    let one = world.find(&named("ConfigMap", "a")).unwrap();
    assert_eq!(one.object.get("data"), None);
    made["data"] = json!({"key": "two"});
    world.put(&scope("ConfigMap"), &made);
    assert_ne!(
        world.find(&named("ConfigMap", "a")).unwrap().fingerprint,
        one.fingerprint
    );
}
