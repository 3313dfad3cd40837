//! Who may do what, and how callers prove who they are.

use bytes::Bytes;
use foreshore_engine_api::UserInfo;
use http::Request;
use http_body_util::Full;
use jiff::SignedDuration;
use serde_json::{Value, json};
use tower::Service;

use crate::ground::{Answer, Ground, pod, read};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

async fn with_headers(ground: &Ground, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::<Bytes>::default()).unwrap();
    read(ground.server.service().call(request).await.unwrap()).await
}

async fn get_as(ground: &Ground, user: &UserInfo, path: &str) -> Answer {
    ground
        .ask(user, Request::get(path).body(Full::default()).unwrap())
        .await
}

async fn grant(ground: &Ground, role: &str, subject: Value) {
    let binding = json!({
        "metadata": {"name": "grant"}, "subjects": [subject],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
    });
    ground
        .post(&format!("{RBAC}/namespaces/default/rolebindings"), binding)
        .await
        .expect(201);
}

async fn token(ground: &Ground, seconds: i64) -> Value {
    let request = json!({"spec": {"expirationSeconds": seconds}});
    ground
        .post(
            "/api/v1/namespaces/default/serviceaccounts/default/token",
            request,
        )
        .await
        .expect(201)
}

#[tokio::test]
async fn strangers_may_ask_for_health_and_little_else() {
    let ground = Ground::start().await;
    assert_eq!(with_headers(&ground, "/readyz", &[]).await.text, "ok");
    with_headers(&ground, "/version", &[]).await.expect(200);
    let message = with_headers(&ground, "/api/v1/pods", &[])
        .await
        .refused(403, "Forbidden");
    assert_eq!(
        message,
        "pods is forbidden: User \"system:anonymous\" cannot list resource \"pods\" in API group \
         \"\" at the cluster scope"
    );
    let message = with_headers(&ground, "/metrics", &[])
        .await
        .refused(403, "Forbidden");
    assert!(
        message.contains("cannot get path \"/metrics\""),
        "{message}"
    );
    let bad = [("authorization", "Bearer nonsense")];
    with_headers(&ground, "/readyz", &bad)
        .await
        .refused(401, "Unauthorized");
}

#[tokio::test]
async fn roles_grant_what_they_say_where_they_are_bound() {
    let ground = Ground::start().await;
    let user = UserInfo::new("dev", &["team"]);
    let pods = "/api/v1/namespaces/default/pods";
    get_as(&ground, &user, pods).await.refused(403, "Forbidden");
    grant(
        &ground,
        "view",
        json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "team"}),
    )
    .await;
    get_as(&ground, &user, pods).await.expect(200);
    get_as(&ground, &user, "/api/v1/namespaces/default/secrets")
        .await
        .refused(403, "Forbidden");
    get_as(&ground, &user, "/api/v1/namespaces/kube-system/pods")
        .await
        .refused(403, "Forbidden");
    ground
        .delete(
            &format!("{RBAC}/namespaces/default/rolebindings/grant"),
            Value::Null,
        )
        .await
        .expect(200);
    get_as(&ground, &user, pods).await.refused(403, "Forbidden");
}

#[tokio::test]
async fn applying_needs_the_right_to_create_what_is_missing() {
    let ground = Ground::start().await;
    let role = json!({
        "metadata": {"name": "patcher"},
        "rules": [{"verbs": ["patch"], "apiGroups": [""], "resources": ["configmaps"]}],
    });
    ground
        .post(&format!("{RBAC}/clusterroles"), role)
        .await
        .expect(201);
    let subject = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "dev"});
    grant(&ground, "patcher", subject).await;
    let apply = || {
        let body = r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}"#;
        Request::patch("/api/v1/namespaces/default/configmaps/a?fieldManager=dev")
            .header("content-type", "application/apply-patch+yaml")
            .body(Full::from(body))
            .unwrap()
    };
    let dev = UserInfo::new("dev", &[]);
    let message = ground.ask(&dev, apply()).await.refused(403, "Forbidden");
    assert!(message.contains("cannot create resource"), "{message}");
    ground.ask(&UserInfo::admin(), apply()).await.expect(201);
    ground.ask(&dev, apply()).await.expect(200);
}

#[tokio::test]
async fn nodes_may_do_a_nodes_work() {
    let ground = Ground::start().await;
    let node = UserInfo::new("system:node:n1", &["system:nodes"]);
    get_as(&ground, &node, "/api/v1/pods").await.expect(200);
    get_as(&ground, &node, "/apis/apps/v1/deployments")
        .await
        .refused(403, "Forbidden");
}

#[tokio::test]
async fn a_service_account_token_works_until_it_expires() {
    let ground = Ground::start().await;
    let issued = token(&ground, 600).await;
    let bearer = format!("Bearer {}", issued["status"]["token"].as_str().unwrap());
    let headers = [("authorization", bearer.as_str())];
    let me = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": issued["status"]["token"]}});
    let review = ground
        .post("/apis/authentication.k8s.io/v1/tokenreviews", me)
        .await
        .expect(201);
    assert_eq!(review["status"]["authenticated"], true);
    assert_eq!(
        review["status"]["user"]["username"],
        "system:serviceaccount:default:default"
    );
    let pods = "/api/v1/namespaces/default/pods";
    with_headers(&ground, pods, &headers)
        .await
        .refused(403, "Forbidden");
    grant(
        &ground,
        "view",
        json!({"kind": "ServiceAccount", "name": "default", "namespace": "default"}),
    )
    .await;
    with_headers(&ground, pods, &headers).await.expect(200);
    ground.pass(SignedDuration::from_secs(601));
    with_headers(&ground, pods, &headers)
        .await
        .refused(401, "Unauthorized");
    let short = json!({"spec": {"expirationSeconds": 10}});
    ground
        .post(
            "/api/v1/namespaces/default/serviceaccounts/default/token",
            short,
        )
        .await
        .refused(422, "Invalid");
}

#[tokio::test]
async fn a_bound_token_dies_with_its_pod() {
    let ground = Ground::start().await;
    let made = ground
        .post("/api/v1/namespaces/default/pods", pod("a"))
        .await
        .expect(201);
    let request = json!({"spec": {"boundObjectRef": {
        "kind": "Pod", "apiVersion": "v1", "name": "a", "uid": made["metadata"]["uid"],
    }}});
    let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
    let issued = ground.post(path, request).await.expect(201);
    let bearer = format!("Bearer {}", issued["status"]["token"].as_str().unwrap());
    let headers = [("authorization", bearer.as_str())];
    with_headers(&ground, "/api", &headers).await.expect(200);
    ground
        .delete("/api/v1/namespaces/default/pods/a", Value::Null)
        .await
        .expect(200);
    with_headers(&ground, "/api", &headers)
        .await
        .refused(401, "Unauthorized");
    let missing =
        json!({"spec": {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "a"}}});
    ground.post(path, missing).await.refused(404, "NotFound");
}

#[tokio::test]
async fn fixed_tokens_name_their_user() {
    let ground = Ground::start_with(|options| {
        options.tokens.push(("sesame".into(), UserInfo::admin()));
    })
    .await;
    with_headers(
        &ground,
        "/api/v1/nodes",
        &[("authorization", "Bearer sesame")],
    )
    .await
    .expect(200);
}

#[tokio::test]
async fn impersonation_takes_the_rights_of_the_other() {
    let ground = Ground::start_with(|options| {
        options.tokens.push(("admin".into(), UserInfo::admin()));
        options
            .tokens
            .push(("dev".into(), UserInfo::new("dev", &[])));
    })
    .await;
    let admin = ("authorization", "Bearer admin");
    let as_dev = [admin, ("impersonate-user", "dev")];
    with_headers(&ground, "/api/v1/nodes", &as_dev)
        .await
        .refused(403, "Forbidden");
    let as_master = [
        admin,
        ("impersonate-user", "x"),
        ("impersonate-group", "system:masters"),
    ];
    with_headers(&ground, "/api/v1/nodes", &as_master)
        .await
        .expect(200);
    let dev = [
        ("authorization", "Bearer dev"),
        ("impersonate-user", "kubernetes-admin"),
    ];
    let message = with_headers(&ground, "/api/v1/nodes", &dev)
        .await
        .refused(403, "Forbidden");
    assert!(
        message.contains("cannot impersonate resource \"users\""),
        "{message}"
    );
    let nobody = [admin, ("impersonate-group", "system:masters")];
    with_headers(&ground, "/api/v1/nodes", &nobody)
        .await
        .refused(400, "BadRequest");
}

#[tokio::test]
async fn reviews_tell_what_is_allowed() {
    let ground = Ground::start().await;
    let ask = |user: &str, verb: &str| {
        let body = json!({"spec": {
            "user": user, "resourceAttributes": {"verb": verb, "resource": "pods", "namespace": "default"},
        }});
        let ground = &ground;
        async move {
            let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
            ground.post(path, body).await.expect(201)["status"]["allowed"].clone()
        }
    };
    assert_eq!(ask("dev", "get").await, false);
    grant(
        &ground,
        "view",
        json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "dev"}),
    )
    .await;
    assert_eq!(ask("dev", "get").await, true);
    assert_eq!(ask("dev", "delete").await, false);
    let rules = json!({"spec": {"namespace": "default"}});
    let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let rules = ground.post(path, rules).await.expect(201);
    assert_eq!(rules["status"]["resourceRules"][0]["verbs"], json!(["*"]));
}

#[tokio::test]
async fn nobody_grants_what_they_do_not_have() {
    let ground = Ground::start().await;
    let roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    let rule = |resources: &[&str], verbs: &[&str]| json!({"apiGroups": ["", "rbac.authorization.k8s.io"], "resources": resources, "verbs": verbs});
    let own = json!({"metadata": {"name": "own"}, "rules": [
        rule(&["pods"], &["get"]), rule(&["roles", "rolebindings"], &["create", "update"]),
    ]});
    ground
        .post(&format!("{roles}/roles"), own)
        .await
        .expect(201);
    let bind = |name: &str, role: &str| {
        json!({
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role},
            "subjects": [{"kind": "User", "name": "eve", "apiGroup": "rbac.authorization.k8s.io"}],
        })
    };
    ground
        .post(&format!("{roles}/rolebindings"), bind("own", "own"))
        .await
        .expect(201);
    let more =
        json!({"metadata": {"name": "more"}, "rules": [rule(&["secrets"], &["get", "list"])]});
    ground
        .post(&format!("{roles}/roles"), more.clone())
        .await
        .expect(201);
    let eve = UserInfo::new("eve", &["team"]);
    let post = async |path: String, body: serde_json::Value| {
        let request = http::Request::post(path)
            .header("content-type", "application/json")
            .body(http_body_util::Full::from(body.to_string()))
            .unwrap();
        ground.ask(&eve, request).await
    };
    let mut same = more;
    same["metadata"]["name"] = json!("mine");
    same["rules"][0]["apiGroups"] = json!([""]);
    let message = post(format!("{roles}/roles"), same)
        .await
        .refused(403, "Forbidden");
    assert_eq!(
        message,
        "roles.rbac.authorization.k8s.io \"mine\" is forbidden: user \"eve\" (groups=[\"team\" \"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\" \"list\"]}"
    );
    post(format!("{roles}/rolebindings"), bind("more", "more"))
        .await
        .refused(403, "Forbidden");
    post(format!("{roles}/rolebindings"), bind("none", "none"))
        .await
        .refused(404, "NotFound");
    post(format!("{roles}/rolebindings"), bind("again", "own"))
        .await
        .expect(201);
    let less = json!({"metadata": {"name": "less"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]});
    post(format!("{roles}/roles"), less).await.expect(201);
}
