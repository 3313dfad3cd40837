//! Server-side apply: who owns which field.

use serde_json::{Value, json};

use super::samples::{config_map, deployment};
use crate::world::World;

fn with_data(data: Value) -> Value {
    let mut object = config_map("one");
    object["data"] = data;
    object
}

pub(crate) async fn applying_twice_changes_nothing(world: World) {
    let one = world.apps("deployments/one");
    let first = world.apply(&one, "ours", deployment("one")).await;
    assert_eq!(first.code, 201);
    let first = first.ok();
    let entries = first["metadata"]["managedFields"].as_array().unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(
        (&entries[0]["manager"], &entries[0]["operation"]),
        (&json!("ours"), &json!("Apply"))
    );
    // Controllers write the status, so versions may differ; ours do not.
    let second = world.apply(&one, "ours", deployment("one")).await.ok();
    assert_eq!(second["metadata"]["generation"], 1);
    let entry = second["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["manager"] == "ours");
    assert_eq!(entry, Some(&entries[0]));
}

pub(crate) async fn a_field_no_longer_applied_goes_away(world: World) {
    let one = world.core("configmaps/one");
    world
        .apply(&one, "ours", with_data(json!({"a": "1", "b": "2"})))
        .await
        .ok();
    world
        .merge(&one, json!({"data": {"theirs": "3"}}))
        .await
        .ok();
    let applied = world
        .apply(&one, "ours", with_data(json!({"a": "1"})))
        .await
        .ok();
    assert_eq!(applied["data"], json!({"a": "1", "theirs": "3"}));
}

pub(crate) async fn another_managers_field_conflicts_unless_forced(world: World) {
    let one = world.core("configmaps/one");
    world
        .apply(&one, "first", with_data(json!({"a": "1"})))
        .await
        .ok();
    let status = world
        .apply(&one, "second", with_data(json!({"a": "2"})))
        .await;
    let status = status.refused(
        409,
        "Conflict",
        "Apply failed with 1 conflict: conflict with \"first\": .data.a",
    );
    assert_eq!(
        status["details"]["causes"],
        json!([{"reason": "FieldManagerConflict", "message": "conflict with \"first\"", "field": ".data.a"}])
    );
    // Wanting the same value is sharing, not conflict.
    world
        .apply(&one, "third", with_data(json!({"a": "1"})))
        .await
        .ok();
    let forced = world
        .force(&one, "second", with_data(json!({"a": "2"})))
        .await
        .ok();
    assert_eq!(forced["data"], json!({"a": "2"}));
    world.apply(&one, "second", with_data(json!({}))).await.ok();
    assert!(world.get(&one).await.ok().get("data").is_none());
}

pub(crate) async fn two_managers_share_a_list_by_key(world: World) {
    let one = world.apps("deployments/one");
    world.apply(&one, "ours", deployment("one")).await.ok();
    let side = |list: Value| {
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "one"},
            "spec": {"template": {"spec": {"containers": list}}},
        })
    };
    let names = |object: &Value| -> Vec<String> {
        let containers = object["spec"]["template"]["spec"]["containers"]
            .as_array()
            .unwrap();
        containers
            .iter()
            .map(|container| container["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let both = world
        .apply(
            &one,
            "theirs",
            side(json!([{"name": "side", "image": "x"}])),
        )
        .await
        .ok();
    assert_eq!(names(&both), ["main", "side"]);
    let ours_again = world.apply(&one, "ours", deployment("one")).await.ok();
    assert_eq!(names(&ours_again), ["main", "side"]);
    let alone = world.apply(&one, "theirs", side(json!([]))).await.ok();
    assert_eq!(names(&alone), ["main"]);
}
