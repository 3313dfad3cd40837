//! Evictions and the budgets that stand in their way.

use serde_json::{Value, json};

use crate::ground::{Answer, Ground, pod};

const PODS: &str = "/api/v1/namespaces/default/pods";
const BUDGETS: &str = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";

async fn running(ground: &Ground, name: &str, ready: bool) {
    let mut made = pod(name);
    made["metadata"]["labels"] = json!({"app": "web"});
    ground.post(PODS, made).await.expect(201);
    let ready = if ready { "True" } else { "False" };
    let status =
        json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}});
    ground
        .patch(&format!("{PODS}/{name}/status"), "merge", status)
        .await
        .expect(200);
}

async fn budget(ground: &Ground, name: &str, status: Value) {
    let made = json!({"metadata": {"name": name}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}});
    ground.post(BUDGETS, made).await.expect(201);
    ground
        .patch(
            &format!("{BUDGETS}/{name}/status"),
            "merge",
            json!({"status": status}),
        )
        .await
        .expect(200);
}

fn status(allowed: i64) -> Value {
    json!({
        "observedGeneration": 1, "disruptionsAllowed": allowed, "currentHealthy": 1 + allowed,
        "desiredHealthy": 1, "expectedPods": 2,
    })
}

async fn evict(ground: &Ground, name: &str, options: Value) -> Answer {
    let eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name},
        "deleteOptions": options,
    });
    ground
        .post(&format!("{PODS}/{name}/eviction"), eviction)
        .await
}

#[tokio::test]
async fn a_budget_is_spent_and_then_refuses() {
    let ground = Ground::start().await;
    running(&ground, "a", true).await;
    running(&ground, "b", true).await;
    budget(&ground, "web", status(1)).await;
    evict(&ground, "a", json!({"dryRun": ["All"]}))
        .await
        .expect(201);
    ground.get(&format!("{PODS}/a")).await.expect(200);
    evict(&ground, "a", json!({})).await.expect(201);
    ground.get(&format!("{PODS}/a")).await.expect(404);
    let spent = ground.get(&format!("{BUDGETS}/web")).await.expect(200);
    assert_eq!(spent["status"]["disruptionsAllowed"], 0);
    assert!(spent["status"]["disruptedPods"]["a"].is_string(), "{spent}");
    let refused = evict(&ground, "b", json!({})).await;
    assert!(!refused.headers.contains_key("retry-after"));
    let refused = refused.expect(429);
    assert_eq!(
        (&refused["reason"], &refused["message"]),
        (
            &json!("TooManyRequests"),
            &json!("Cannot evict pod as it would violate the pod's disruption budget.")
        )
    );
    assert_eq!(
        refused["details"]["causes"],
        json!([{"reason": "DisruptionBudget", "message": "The disruption budget web needs 1 healthy pods and has 2 currently"}])
    );
}

#[tokio::test]
async fn a_budget_that_is_not_worked_out_yet_asks_for_patience() {
    let ground = Ground::start().await;
    running(&ground, "a", true).await;
    budget(
        &ground,
        "web",
        json!({"observedGeneration": 0, "disruptionsAllowed": 1}),
    )
    .await;
    let refused = evict(&ground, "a", json!({})).await;
    assert_eq!(refused.headers["retry-after"], "10");
    let refused = refused.expect(429);
    assert_eq!(
        refused["details"]["causes"][0]["message"],
        "The disruption budget web is still being processed by the server."
    );
}

#[tokio::test]
async fn pods_that_serve_nobody_go_without_a_budget() {
    let ground = Ground::start().await;
    budget(&ground, "web", status(0)).await;
    let mut pending = pod("pending");
    pending["metadata"]["labels"] = json!({"app": "web"});
    ground.post(PODS, pending).await.expect(201);
    evict(&ground, "pending", json!({})).await.expect(201);
    running(&ground, "broken", false).await;
    evict(&ground, "broken", json!({})).await.expect(201);
    ground.get(&format!("{PODS}/broken")).await.expect(404);
}

#[tokio::test]
async fn an_eviction_marks_the_pod_and_obeys_its_preconditions() {
    let ground = Ground::start().await;
    running(&ground, "a", true).await;
    let binding = json!({"metadata": {"name": "a"}, "target": {"name": "n1"}});
    ground
        .post(&format!("{PODS}/a/binding"), binding)
        .await
        .expect(201);
    let wrong = json!({"preconditions": {"uid": "other"}});
    evict(&ground, "a", wrong).await.refused(409, "Conflict");
    evict(&ground, "a", json!({})).await.expect(201);
    let leaving = ground.get(&format!("{PODS}/a")).await.expect(200);
    assert!(leaving["metadata"]["deletionTimestamp"].is_string());
    let conditions = leaving["status"]["conditions"].as_array().unwrap();
    let target = conditions
        .iter()
        .find(|condition| condition["type"] == "DisruptionTarget")
        .unwrap();
    assert_eq!(
        (&target["status"], &target["reason"]),
        (&json!("True"), &json!("EvictionByEvictionAPI"))
    );
    for name in ["one", "two"] {
        budget(&ground, name, status(1)).await;
    }
    running(&ground, "b", true).await;
    let message = evict(&ground, "b", json!({})).await.refused(500, "");
    assert!(
        message.starts_with("This pod has more than one PodDisruptionBudget"),
        "{message}"
    );
}
