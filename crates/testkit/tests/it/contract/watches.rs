//! Changes as they happen.

use serde_json::json;

use super::samples::config_map;
use crate::world::World;

fn event(kind: &str, name: &str) -> (String, String) {
    (kind.to_owned(), name.to_owned())
}

pub(crate) async fn a_watch_tells_of_every_change_in_order(world: World) {
    let all = world.core("configmaps");
    let before = world.get(&format!("{all}?labelSelector=ours")).await.ok();
    let version = before["metadata"]["resourceVersion"].as_str().unwrap();
    let select = "labelSelector=ours&watch=true";
    let mut object = config_map("one");
    object["metadata"]["labels"] = json!({"ours": "yes"});
    world.post(&all, object).await.ok();
    // Opened after the first change: it must be told nevertheless.
    let mut watch = world
        .watch(&format!("{all}?{select}&resourceVersion={version}"))
        .await;
    let one = world.core("configmaps/one");
    world
        .merge(&one, json!({"data": {"key": "new"}}))
        .await
        .ok();
    world.delete(&one, json!({})).await.ok();
    let mut last = version.parse::<u64>().unwrap();
    for expected in ["ADDED", "MODIFIED", "DELETED"] {
        let (kind, object) = watch.next().await;
        assert_eq!(kind, expected);
        let version = object["metadata"]["resourceVersion"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!(
            version > last,
            "{expected} has version {version} after {last}"
        );
        last = version;
    }
}

pub(crate) async fn a_selecting_watch_sees_objects_enter_and_leave(world: World) {
    let (all, one) = (world.core("configmaps"), world.core("configmaps/one"));
    let made = world.post(&all, config_map("one")).await.ok();
    let version = made["metadata"]["resourceVersion"].as_str().unwrap();
    let mut watch = world
        .watch(&format!(
            "{all}?labelSelector=ours&watch=true&resourceVersion={version}"
        ))
        .await;
    world
        .merge(&one, json!({"metadata": {"labels": {"ours": "yes"}}}))
        .await
        .ok();
    world
        .merge(&one, json!({"data": {"key": "new"}}))
        .await
        .ok();
    world
        .merge(&one, json!({"metadata": {"labels": {"ours": null}}}))
        .await
        .ok();
    assert_eq!(watch.next_name().await, event("ADDED", "one"));
    assert_eq!(watch.next_name().await, event("MODIFIED", "one"));
    assert_eq!(watch.next_name().await, event("DELETED", "one"));
}

pub(crate) async fn a_watch_list_begins_with_what_is_there(world: World) {
    let all = world.core("configmaps");
    for name in ["one", "two"] {
        let mut object = config_map(name);
        object["metadata"]["labels"] = json!({"ours": "yes"});
        world.post(&all, object).await.ok();
    }
    let query = "labelSelector=ours&watch=true&sendInitialEvents=true&allowWatchBookmarks=true\
                 &resourceVersionMatch=NotOlderThan&resourceVersion=";
    let mut watch = world.watch(&format!("{all}?{query}")).await;
    assert_eq!(watch.next_name().await, event("ADDED", "one"));
    assert_eq!(watch.next_name().await, event("ADDED", "two"));
    let (kind, object) = watch.next().await;
    assert_eq!(kind, "BOOKMARK");
    assert_eq!(
        object["metadata"]["annotations"]["k8s.io/initial-events-end"],
        "true"
    );
    world
        .delete(&world.core("configmaps/one"), json!({}))
        .await
        .ok();
    assert_eq!(watch.next_name().await, event("DELETED", "one"));
}
