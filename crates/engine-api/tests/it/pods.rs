//! Pods: admission, binding, graceful deletion, eviction.

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::ground::{Ground, pod};

const PODS: &str = "/api/v1/namespaces/default/pods";

async fn bind(ground: &Ground, name: &str, node: &str) -> crate::ground::Answer {
    let binding = json!({"metadata": {"name": name}, "target": {"kind": "Node", "name": node}});
    ground
        .post(&format!("{PODS}/{name}/binding"), binding)
        .await
}

#[tokio::test]
async fn a_new_pod_waits_and_carries_what_admission_adds() {
    let ground = Ground::start().await;
    let made = ground.post(PODS, pod("a")).await.expect(201);
    assert_eq!(made["status"]["phase"], "Pending");
    assert_eq!(made["status"]["qosClass"], "BestEffort");
    assert_eq!(made["spec"]["serviceAccountName"], "default");
    assert_eq!(made["spec"]["priority"], 0);
    assert_eq!(made["spec"]["tolerations"][0]["tolerationSeconds"], 300);
    let mount = &made["spec"]["containers"][0]["volumeMounts"][0];
    assert_eq!(
        mount["mountPath"],
        "/var/run/secrets/kubernetes.io/serviceaccount"
    );
    assert_eq!(mount["name"], made["spec"]["volumes"][0]["name"]);
    let mut quiet = pod("b");
    quiet["spec"]["automountServiceAccountToken"] = false.into();
    let made = ground.post(PODS, quiet).await.expect(201);
    assert!(made["spec"].get("volumes").is_none(), "{made}");
    let mut lost = pod("c");
    lost["spec"]["serviceAccountName"] = "missing".into();
    let message = ground.post(PODS, lost).await.refused(403, "Forbidden");
    assert!(
        message.contains("serviceaccount \"missing\" not found"),
        "{message}"
    );
}

#[tokio::test]
async fn a_pod_is_bound_once() {
    let ground = Ground::start().await;
    ground.post(PODS, pod("a")).await.expect(201);
    bind(&ground, "a", "n1").await.expect(201);
    let bound = ground.get(&format!("{PODS}/a")).await.expect(200);
    assert_eq!(bound["spec"]["nodeName"], "n1");
    assert_eq!(bound["status"]["conditions"][0]["type"], "PodScheduled");
    let message = bind(&ground, "a", "n2").await.refused(409, "Conflict");
    assert!(
        message.contains("already assigned to node \"n1\""),
        "{message}"
    );
    bind(&ground, "missing", "n1")
        .await
        .refused(404, "NotFound");
    bind(&ground, "a", "").await.refused(422, "Invalid");
}

#[tokio::test]
async fn an_unscheduled_pod_goes_at_once() {
    let ground = Ground::start().await;
    ground.post(PODS, pod("a")).await.expect(201);
    ground
        .delete(&format!("{PODS}/a"), Value::Null)
        .await
        .expect(200);
    ground.get(&format!("{PODS}/a")).await.expect(404);
}

#[tokio::test]
async fn a_running_pod_gets_its_grace_and_the_node_ends_it() {
    let ground = Ground::start().await;
    let path = format!("{PODS}/a");
    ground.post(PODS, pod("a")).await.expect(201);
    bind(&ground, "a", "n1").await.expect(201);
    let leaving = ground.delete(&path, Value::Null).await.expect(200);
    assert_eq!(leaving["metadata"]["deletionGracePeriodSeconds"], 30);
    ground.pass(SignedDuration::from_secs(1));
    let again = ground.delete(&path, Value::Null).await.expect(200);
    assert_eq!(
        again["metadata"]["deletionTimestamp"],
        leaving["metadata"]["deletionTimestamp"]
    );
    let shorter = ground
        .delete(&path, json!({"gracePeriodSeconds": 5}))
        .await
        .expect(200);
    assert_eq!(shorter["metadata"]["deletionGracePeriodSeconds"], 5);
    let longer = ground
        .delete(&path, json!({"gracePeriodSeconds": 50}))
        .await
        .expect(200);
    assert_eq!(longer["metadata"]["deletionGracePeriodSeconds"], 5);
    let status = json!({"status": {"phase": "Running"}});
    ground
        .patch(&format!("{path}/status"), "merge", status)
        .await
        .expect(200);
    ground.get(&path).await.expect(200);
    ground
        .delete(&format!("{path}?gracePeriodSeconds=0"), Value::Null)
        .await
        .expect(200);
    ground.get(&path).await.expect(404);
}

#[tokio::test]
async fn a_pod_changes_its_image_and_little_else() {
    let ground = Ground::start().await;
    ground.post(PODS, pod("a")).await.expect(201);
    let path = format!("{PODS}/a");
    let image = json!({"spec": {"containers": [{"name": "main", "image": "other:2"}]}});
    let changed = ground
        .patch(&path, "strategic-merge", image)
        .await
        .expect(200);
    assert_eq!(changed["spec"]["containers"][0]["image"], "other:2");
    let node = json!({"spec": {"nodeName": "n1"}});
    let message = ground
        .patch(&path, "merge", node)
        .await
        .refused(422, "Invalid");
    assert!(
        message.contains("pod updates may not change fields other than"),
        "{message}"
    );
}

#[tokio::test]
async fn an_evicted_pod_is_deleted() {
    let ground = Ground::start().await;
    ground.post(PODS, pod("a")).await.expect(201);
    let eviction =
        json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "a"}});
    ground
        .post(&format!("{PODS}/a/eviction"), eviction.clone())
        .await
        .expect(201);
    ground.get(&format!("{PODS}/a")).await.expect(404);
    ground
        .post(&format!("{PODS}/a/eviction"), eviction)
        .await
        .refused(404, "NotFound");
}

#[tokio::test]
async fn what_a_pod_cannot_do_here_is_named() {
    let ground = Ground::start().await;
    ground.post(PODS, pod("a")).await.expect(201);
    for what in ["attach", "portforward"] {
        let message = ground
            .get(&format!("{PODS}/a/{what}"))
            .await
            .refused(501, "NotImplemented");
        assert!(message.contains(&format!("pods/{what}")), "{message}");
    }
    let mut wrong = pod("b");
    wrong["spec"]["containers"] = json!([{"name": "x", "image": "i"}, {"name": "x", "image": ""}]);
    let refused = ground.post(PODS, wrong).await.expect(422);
    let fields: Vec<_> = refused["details"]["causes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cause| cause["field"].as_str().unwrap())
        .collect();
    assert_eq!(
        fields,
        ["spec.containers[1].image", "spec.containers[1].name"]
    );
}
