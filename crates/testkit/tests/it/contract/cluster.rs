//! What the control plane does by itself.

use serde_json::json;

use super::samples::{config_map, deployment, service};
use crate::world::World;

pub(crate) async fn a_service_gets_an_address_of_its_own(world: World) {
    let all = world.core("services");
    let first = world.post(&all, service("first")).await.ok();
    let address = first["spec"]["clusterIP"].as_str().unwrap();
    assert!(address.starts_with("10.96."), "{address}");
    assert_eq!(first["spec"]["clusterIPs"], json!([address]));
    let mut second = service("second");
    second["spec"]["clusterIP"] = json!(address);
    world.post(&all, second).await.refused(
        422,
        "Invalid",
        &format!(
            "Service \"second\" is invalid: spec.clusterIPs: Invalid value: [\"{address}\"]: failed to allocate IP \
             {address}: provided IP is already allocated"
        ),
    );
    let mut headless = service("headless");
    headless["spec"]["clusterIP"] = json!("None");
    assert_eq!(
        world.post(&all, headless).await.ok()["spec"]["clusterIP"],
        "None"
    );
}

pub(crate) async fn a_service_account_gets_a_token_that_names_it(world: World) {
    world
        .post(
            &world.core("serviceaccounts"),
            json!({"metadata": {"name": "robot"}}),
        )
        .await
        .ok();
    let request =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let granted = world
        .post(&world.core("serviceaccounts/robot/token"), request)
        .await
        .ok();
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": granted["status"]["token"]},
    });
    let reviewed = world
        .post("/apis/authentication.k8s.io/v1/tokenreviews", review)
        .await
        .ok();
    assert_eq!(reviewed["status"]["authenticated"], true, "{reviewed:#}");
    let user = format!("system:serviceaccount:{}:robot", world.namespace());
    assert_eq!(reviewed["status"]["user"]["username"], user);
}

pub(crate) async fn a_namespace_takes_what_is_in_it_along(world: World) {
    world
        .post(
            "/api/v1/namespaces",
            json!({"metadata": {"name": format!("{}-x", world.namespace())}}),
        )
        .await
        .ok();
    let path = format!("/api/v1/namespaces/{}-x", world.namespace());
    let mut held = config_map("held");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    world.post(&format!("{path}/configmaps"), held).await.ok();
    world.delete(&path, json!({})).await.ok();
    let ending = world.get(&path).await.ok();
    assert_eq!(ending["status"]["phase"], "Terminating");
    let reply = world
        .post(&format!("{path}/configmaps"), config_map("late"))
        .await;
    let name = format!("{}-x", world.namespace());
    let status = reply.refused(
        403,
        "Forbidden",
        &format!(
            "configmaps \"late\" is forbidden: unable to create new content in namespace {name} because it is being \
             terminated"
        ),
    );
    assert_eq!(
        status["details"]["causes"][0]["reason"],
        "NamespaceTerminating"
    );
    world
        .until(
            "its content to be marked",
            &format!("{path}/configmaps/held"),
            |reply| reply.body["metadata"]["deletionTimestamp"].is_string(),
        )
        .await;
    world
        .merge(
            &format!("{path}/configmaps/held"),
            json!({"metadata": {"finalizers": null}}),
        )
        .await
        .ok();
    world
        .until("the namespace to be gone", &path, |reply| reply.code == 404)
        .await;
}

pub(crate) async fn a_deployment_asks_for_pods(world: World) {
    let one = world.apps("deployments/one");
    let made = world
        .post(&world.apps("deployments"), deployment("one"))
        .await
        .ok();
    let pods = world.core("pods?labelSelector=app=web");
    let count = |wanted: usize| {
        move |reply: &crate::world::Reply| {
            reply.body["items"]
                .as_array()
                .is_some_and(|items| items.len() == wanted)
        }
    };
    let reply = world.until("two pods", &pods, count(2)).await;
    let owner = &reply.body["items"][0]["metadata"]["ownerReferences"][0];
    assert_eq!(
        (&owner["kind"], &owner["controller"]),
        (&json!("ReplicaSet"), &json!(true))
    );
    let set = world
        .get(&world.apps(&format!("replicasets/{}", owner["name"].as_str().unwrap())))
        .await
        .ok();
    assert_eq!(
        set["metadata"]["ownerReferences"][0]["uid"],
        made["metadata"]["uid"]
    );
    assert_eq!(
        set["metadata"]["annotations"]["deployment.kubernetes.io/revision"],
        "1"
    );
    world
        .until("the status", &one, |reply| {
            reply.body["status"]["observedGeneration"] == 1
        })
        .await;
    world
        .delete(&one, json!({"propagationPolicy": "Background"}))
        .await
        .ok();
    world.until("the pods to be gone", &pods, count(0)).await;
}
