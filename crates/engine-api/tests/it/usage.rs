//! `metrics.k8s.io` on simulated nodes.

use serde_json::json;

use crate::ground::{Ground, pod};

const PODS: &str = "/api/v1/namespaces/default/pods";
const METRICS: &str = "/apis/metrics.k8s.io/v1beta1";

#[tokio::test]
async fn simulated_pods_use_what_their_annotations_say() {
    let ground = Ground::start().await;
    let node =
        json!({"metadata": {"name": "n1", "labels": {"foreshore.local/runtime": "simulated"}}});
    ground.post("/api/v1/nodes", node).await.expect(201);
    let mut busy = pod("busy");
    busy["metadata"]["annotations"] =
        json!({"foreshore.local/simulate-cpu": "250m", "foreshore.local/simulate-memory": "64Mi"});
    ground.post(PODS, busy).await.expect(201);
    ground.post(PODS, pod("idle")).await.expect(201);
    ground.post(PODS, pod("waiting")).await.expect(201);
    for name in ["busy", "idle"] {
        let binding = json!({"metadata": {"name": name}, "target": {"name": "n1"}});
        ground
            .post(&format!("{PODS}/{name}/binding"), binding)
            .await
            .expect(201);
        let status = json!({"status": {"phase": "Running"}});
        ground
            .patch(&format!("{PODS}/{name}/status"), "merge", status)
            .await
            .expect(200);
    }
    let list = ground
        .get(&format!("{METRICS}/namespaces/default/pods"))
        .await
        .expect(200);
    assert_eq!(
        (&list["kind"], list["items"].as_array().unwrap().len()),
        (&json!("PodMetricsList"), 2)
    );
    let one = ground
        .get(&format!("{METRICS}/namespaces/default/pods/busy"))
        .await
        .expect(200);
    assert_eq!(
        one["containers"],
        json!([{"name": "main", "usage": {"cpu": "250m", "memory": "64Mi"}}])
    );
    let none = ground
        .get(&format!("{METRICS}/pods?labelSelector=app=none"))
        .await
        .expect(200);
    assert_eq!(none["items"], json!([]));
    let node = ground.get(&format!("{METRICS}/nodes/n1")).await.expect(200);
    assert_eq!(node["usage"], json!({"cpu": "251m", "memory": "66560Ki"}));
    let message = ground
        .get(&format!("{METRICS}/namespaces/default/pods/waiting"))
        .await
        .refused(404, "NotFound");
    assert_eq!(
        message,
        "podmetrics.metrics.k8s.io \"default/waiting\" not found"
    );
    ground
        .delete(&format!("{METRICS}/nodes/n1"), json!(null))
        .await
        .refused(405, "MethodNotAllowed");
    let served = ground.listen().await;
    let shown = served.kubectl("top pods").await;
    assert!(shown.contains("busy") && shown.contains("250m"), "{shown}");
    let shown = served.kubectl("top nodes").await;
    assert!(shown.contains("n1") && shown.contains("251m"), "{shown}");
}
