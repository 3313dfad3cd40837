//! Subresources: status and scale.

use serde_json::json;

use super::samples::{deployment, pod};
use crate::world::World;

pub(crate) async fn status_and_spec_are_written_apart(world: World) {
    let one = world.core("pods/one");
    let mut object = pod("one");
    object["status"] = json!({"message": "from creation"});
    let made = world.post(&world.core("pods"), object).await.ok();
    assert_eq!(made["status"]["phase"], "Pending");
    assert!(made["status"].get("message").is_none());
    world
        .merge(&one, json!({"status": {"message": "from the object"}}))
        .await
        .ok();
    let both = json!({"status": {"message": "said"}, "spec": {"priority": 9}});
    world.merge(&format!("{one}/status"), both).await.ok();
    let read = world.get(&one).await.ok();
    assert_eq!(read["status"]["message"], "said");
    assert_eq!(read["spec"]["priority"], 0);
    assert_eq!(read["metadata"]["generation"], 1);
}

pub(crate) async fn a_deployment_is_scaled(world: World) {
    let one = world.apps("deployments/one");
    let scale = format!("{one}/scale");
    world
        .post(&world.apps("deployments"), deployment("one"))
        .await
        .ok();
    let read = world.get(&scale).await.ok();
    assert_eq!(
        (&read["kind"], &read["apiVersion"]),
        (&json!("Scale"), &json!("autoscaling/v1"))
    );
    assert_eq!(read["spec"]["replicas"], 2);
    assert_eq!(read["status"]["selector"], "app=web");
    assert_eq!(
        world
            .merge(&scale, json!({"spec": {"replicas": 3}}))
            .await
            .ok()["spec"]["replicas"],
        3
    );
    assert_eq!(world.get(&one).await.ok()["spec"]["replicas"], 3);
    let reply = world.merge(&scale, json!({"spec": {"replicas": -1}})).await;
    assert_eq!(
        (reply.code, &reply.body["reason"]),
        (422, &json!("Invalid")),
        "{:#}",
        reply.body
    );
}
