//! What a node would say about pods: well, or broken, by the image they name.

use std::time::Duration;

use foreshore_cluster::{Change, Client, Cluster};
use futures::StreamExt as _;
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};

/// Answers for all pods of a namespace until it is dropped by its runtime.
///
/// An image with `broken` in its name ends with exit code 42 again and again,
/// one with `slow` stays not ready, one with `ends` or `fails` is over at once, every other is ready.
pub(crate) fn pretend(client: Client, namespace: &str) {
    let namespace = namespace.to_owned();
    tokio::spawn(async move {
        let cluster = Cluster::new(client.clone());
        let resource = cluster.resource("v1", "Pod").await.unwrap();
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Pod"));
        let pods: Api<DynamicObject> = Api::namespaced_with(client, &namespace, &kind);
        let mut changes = std::pin::pin!(cluster.watch(&resource, &namespace, ""));
        while let Some(change) = changes.next().await {
            let seen = match change {
                Change::All(all) => all,
                Change::Put(pod) => vec![pod],
                Change::Gone(_) | Change::Broken(_) | Change::Refused(_) => continue,
            };
            for pod in seen {
                answer(&pods, &pod).await;
            }
        }
    });
}

async fn answer(pods: &Api<DynamicObject>, pod: &Value) {
    let name = pod["metadata"]["name"].as_str().unwrap();
    if pod["metadata"].get("deletionTimestamp").is_some() {
        // There is no node whose kubelet would confirm the end.
        let now = kube::api::DeleteParams {
            grace_period_seconds: Some(0),
            ..Default::default()
        };
        drop(pods.delete(name, &now).await);
        return;
    }
    if pod["status"].get("containerStatuses").is_some() {
        return;
    }
    let image = pod["spec"]["containers"][0]["image"]
        .as_str()
        .unwrap_or_default();
    let status = json!({ "status": status(image) });
    // A pod that went meanwhile needs no answer.
    drop(
        pods.patch_status(name, &PatchParams::default(), &Patch::Merge(status))
            .await,
    );
    tokio::time::sleep(Duration::from_millis(1)).await;
}

fn status(image: &str) -> Value {
    let ready = !image.contains("slow") && !image.contains("broken");
    let since = (foreshore_model::clock::now() - Duration::from_secs(5))
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string();
    let word = if ready { "True" } else { "False" };
    let condition = |kind: &str| json!({"type": kind, "status": word, "lastTransitionTime": since});
    let mut container = json!({"name": "app", "image": image, "imageID": "", "ready": ready, "restartCount": 0,
        "started": ready, "state": {"running": {"startedAt": since}}});
    if image.contains("broken") {
        container["restartCount"] = json!(1);
        container["state"] =
            json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}});
        container["lastState"] = json!({"terminated": {"exitCode": 42, "reason": "Error", "startedAt": since, "finishedAt": since}});
    }
    for (word, phase, code) in [("ends", "Succeeded", 0), ("fails", "Failed", 7)] {
        if image.contains(word) {
            container["ready"] = json!(false);
            container["state"] = json!({"terminated": {"exitCode": code, "reason": "Ended", "startedAt": since, "finishedAt": since}});
            return json!({"phase": phase, "startTime": since, "containerStatuses": [container]});
        }
    }
    json!({"phase": "Running", "startTime": since, "conditions": [condition("Ready"), condition("ContainersReady")],
        "containerStatuses": [container]})
}
