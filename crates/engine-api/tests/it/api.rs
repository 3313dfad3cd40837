//! Discovery, OpenAPI, health, and the refusal of everything else.

use foreshore_engine_api::UserInfo;
use http::Request;
use http_body_util::Full;
use serde_json::json;

use crate::ground::Ground;

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                          application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

#[tokio::test]
async fn aggregated_discovery_repeats_its_parameters_and_has_a_tag() {
    let ground = Ground::start().await;
    let answer = ground.get_as("/apis", AGGREGATED).await;
    assert_eq!(
        answer.headers["content-type"],
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    );
    let tag = answer.headers["etag"].clone();
    let groups = answer.json();
    let names: Vec<_> = groups["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group["metadata"]["name"].as_str().unwrap())
        .collect();
    assert!(names.contains(&"apps") && !names.contains(&""), "{names:?}");
    let request = Request::get("/apis")
        .header("accept", AGGREGATED)
        .header("if-none-match", tag)
        .body(Full::default())
        .unwrap();
    assert_eq!(ground.ask(&UserInfo::admin(), request).await.status, 304);
    let old = ground.get_as("/apis", "application/json").await.expect(200);
    assert_eq!(old["kind"], "APIGroupList");
    assert_eq!(ground.get("/api").await.expect(200)["kind"], "APIVersions");
    assert_eq!(
        ground.get("/apis/apps").await.expect(200)["kind"],
        "APIGroup"
    );
    assert_eq!(
        ground.get("/api/v1").await.expect(200)["kind"],
        "APIResourceList"
    );
}

#[tokio::test]
async fn openapi_documents_are_listed_and_served() {
    let ground = Ground::start().await;
    let index = ground.get("/openapi/v3").await.expect(200);
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"]
        .as_str()
        .unwrap();
    assert!(url.starts_with("/openapi/v3/apis/apps/v1?hash="), "{url}");
    let document = ground.get(url).await.expect(200);
    assert!(document["components"]["schemas"]["io.k8s.api.apps.v1.Deployment"].is_object());
    ground.get("/openapi/v3/apis/none/v1").await.expect(404);
}

#[tokio::test]
async fn the_version_says_what_it_is() {
    let ground = Ground::start().await;
    let version = ground.get("/version").await.expect(200);
    assert_eq!(
        (&version["major"], &version["minor"]),
        (&json!("1"), &json!("36"))
    );
    assert!(
        version["gitVersion"]
            .as_str()
            .unwrap()
            .ends_with("+foreshore")
    );
    for path in ["/livez", "/readyz", "/healthz"] {
        assert_eq!(ground.get(path).await.text, "ok");
    }
    let metrics = ground.get("/metrics").await.text;
    assert!(
        metrics.contains("apiserver_request_total{verb=\"GET\""),
        "{metrics}"
    );
    assert!(ground.get("/openid/v1/jwks").await.expect(200)["keys"][0]["x"].is_string());
}

#[tokio::test]
async fn everything_unknown_is_refused_in_kubernetes_words() {
    let ground = Ground::start().await;
    for path in [
        "/nothing",
        "/apis/none/v1",
        "/api/v2",
        "/api/v1/unknownthings",
        "/api/v1/replicationcontrollers",
        "/apis/apps/v1/namespaces/default/deployments/a/unknown",
        "/api/v1/namespaces/default/nodes",
        "/api/v1/namespaces/default/configmaps/a/status",
    ] {
        let message = ground.get(path).await.refused(404, "NotFound");
        assert_eq!(
            message, "the server could not find the requested resource",
            "{path}"
        );
    }
    ground
        .put("/api/v1/namespaces/default/configmaps", json!({}))
        .await
        .refused(405, "MethodNotAllowed");
    ground
        .get("/apis/authorization.k8s.io/v1/subjectaccessreviews")
        .await
        .refused(405, "MethodNotAllowed");
    ground
        .get("/api/v1/pods/%zz")
        .await
        .refused(400, "BadRequest");
}
