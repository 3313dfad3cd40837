//! Patches of each type.

use serde_json::json;

use super::samples::{config_map, deployment};
use crate::world::World;

pub(crate) async fn a_merge_patch_removes_what_it_nulls(world: World) {
    let one = world.core("configmaps/one");
    world
        .post(&world.core("configmaps"), config_map("one"))
        .await
        .ok();
    let patched = world
        .merge(&one, json!({"data": {"key": null, "other": "new"}}))
        .await
        .ok();
    assert_eq!(patched["data"], json!({"other": "new"}));
    let same = world
        .merge(&one, json!({"data": {"other": "new"}}))
        .await
        .ok();
    assert_eq!(
        same["metadata"]["resourceVersion"],
        patched["metadata"]["resourceVersion"]
    );
}

pub(crate) async fn a_strategic_patch_merges_containers_by_name(world: World) {
    let one = world.apps("deployments/one");
    world
        .post(&world.apps("deployments"), deployment("one"))
        .await
        .ok();
    let containers = |list| json!({"spec": {"template": {"spec": {"containers": list}}}});
    let patched = world
        .strategic(&one, containers(json!([{"name": "main", "image": "registry.test/web:2"}, {"name": "side", "image": "x"}])))
        .await
        .ok();
    let found = &patched["spec"]["template"]["spec"]["containers"];
    let images: Vec<_> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|container| (&container["name"], &container["image"]))
        .collect();
    assert_eq!(images.len(), 2);
    assert!(
        images.contains(&(&json!("main"), &json!("registry.test/web:2"))),
        "{images:?}"
    );
    let removed = world
        .strategic(
            &one,
            containers(json!([{"$patch": "delete", "name": "side"}])),
        )
        .await
        .ok();
    assert_eq!(
        removed["spec"]["template"]["spec"]["containers"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(removed["metadata"]["generation"], 3);
}

pub(crate) async fn a_json_patch_whose_test_fails_changes_nothing(world: World) {
    let one = world.core("configmaps/one");
    world
        .post(&world.core("configmaps"), config_map("one"))
        .await
        .ok();
    let patch = json!([
        {"op": "replace", "path": "/data/key", "value": "new"},
        {"op": "test", "path": "/data/key", "value": "other"},
    ]);
    let reply = world.json_patch(&one, patch).await;
    assert_eq!(
        (reply.code, &reply.body["reason"]),
        (422, &json!("Invalid")),
        "{:#}",
        reply.body
    );
    assert_eq!(world.get(&one).await.ok()["data"]["key"], "value");
    let patch = json!([{"op": "test", "path": "/data/key", "value": "value"}, {"op": "remove", "path": "/data"}]);
    assert!(
        world
            .json_patch(&one, patch)
            .await
            .ok()
            .get("data")
            .is_none()
    );
}

pub(crate) async fn a_patch_of_another_type_is_refused(world: World) {
    let one = world.core("configmaps/one");
    world
        .post(&world.core("configmaps"), config_map("one"))
        .await
        .ok();
    let reply = world
        .send(http::Method::PATCH, &one, "text/plain", Some(json!({})))
        .await;
    reply.refused(415, "UnsupportedMediaType", "415: Unsupported Media Type");
}
