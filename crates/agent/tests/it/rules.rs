//! What the config repository says beside the release: consent, tombstones, drift, accounts, sites.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use foreshore_agent::ServerOptions;
use foreshore_cluster::ApplyMode;
use foreshore_model::config::{Drift, SiteOrder};
use foreshore_model::{Outcome, Phase, SiteName};
use foreshore_testkit::cluster::Kind;
use serde_json::{Value, json};

use crate::scene::{Scene, config};

const CLAIM: &str = "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: data}, \
    spec: {accessModes: [ReadWriteOnce], storageClassName: none, resources: {requests: {storage: 1Mi}}}}";

pub(crate) async fn what_keeps_data_goes_only_when_a_person_has_named_it(kind: Kind) {
    let scene = Scene::new(kind, "consent").await;
    if !scene.has("v1", "PersistentVolumeClaim").await {
        return;
    }
    let data = async || scene.get("v1", "PersistentVolumeClaim", "data").await;
    scene
        .repository
        .release("web", &[config("web", "1"), CLAIM.to_owned()]);
    let mut agent = scene.start().await;
    scene
        .until("the claim", async || data().await.is_some())
        .await;
    scene.repository.release("web", &[config("web", "2")]);
    let failed = agent.phase("web", 2, Phase::Failed).await;
    assert_eq!(failed.causes[0].reason, "RemovalNeedsConfirmation");
    assert!(
        failed.causes[0]
            .message
            .contains("PersistentVolumeClaim/data")
    );
    assert!(data().await.is_some());
    scene
        .repository
        .confirm("web", &["PersistentVolumeClaim/data"]);
    agent.phase("web", 2, Phase::Healthy).await;
    let is_leaving = async || {
        data()
            .await
            .is_none_or(|claim| !claim["metadata"]["deletionTimestamp"].is_null())
    };
    scene.until("the end of the claim", is_leaving).await;
}

pub(crate) async fn a_folder_that_is_gone_without_a_word_removes_nothing(kind: Kind) {
    let scene = Scene::new(kind, "lost").await;
    scene.repository.release("web", &[config("web", "1")]);
    scene.repository.release("api", &[config("api", "1")]);
    let mut agent = scene.start().await;
    agent.phase("web", 1, Phase::Healthy).await;
    scene.repository.remove("web");
    scene.repository.release("api", &[config("api", "2")]);
    agent.phase("api", 2, Phase::Healthy).await;
    agent.kill().await;
    let mut agent = scene.start().await;
    agent.phase("api", 2, Phase::Healthy).await;
    scene.repository.release("api", &[config("api", "3")]);
    agent.phase("api", 3, Phase::Healthy).await;
    assert!(scene.get("v1", "ConfigMap", "web").await.is_some());
    scene.repository.retire("web", &[]);
    agent.phase("web", 1, Phase::Retired).await;
    assert_eq!(scene.get("v1", "ConfigMap", "web").await, None);
}

pub(crate) async fn drift_is_only_told_where_the_environment_asks_for_that(kind: Kind) {
    let scene = Scene::new(kind, "report").await;
    scene
        .repository
        .rule(|environment| environment.drift = Drift::Report);
    scene.repository.release("web", &[config("web", "ours")]);
    let mut agent = scene.start().await;
    agent.phase("web", 1, Phase::Healthy).await;
    scene.meddle().await;
    let degraded = agent.phase("web", 1, Phase::Degraded).await;
    assert_eq!(degraded.causes[0].reason, "Drifted");
    scene.repository.release("other", &[config("other", "1")]);
    agent.phase("other", 1, Phase::Healthy).await;
    let found = scene.get("v1", "ConfigMap", "web").await.unwrap();
    assert_eq!(found["data"]["key"], "theirs");
    scene
        .repository
        .rule(|environment| environment.drift = Drift::Heal);
    scene
        .until("the heal", async || {
            scene.get("v1", "ConfigMap", "web").await.unwrap()["data"]["key"] == "ours"
        })
        .await;
}

pub(crate) async fn objects_are_written_as_the_account_of_the_namespace(kind: Kind) {
    if kind == Kind::Engine {
        // The engine knows one user; only the real one can tell what another may do.
        return;
    }
    let scene = Scene::new(kind, "account").await;
    scene
        .repository
        .rule(|environment| environment.service_account = Some("deployer".to_owned()));
    scene.repository.release("web", &[config("web", "1")]);
    let mut agent = scene.start().await;
    let failed = agent.phase("web", 1, Phase::Failed).await;
    assert_eq!(failed.causes[0].reason, "Forbidden");
    let account = format!("system:serviceaccount:{}:deployer", scene.namespace);
    assert!(
        failed.causes[0].message.contains(&account),
        "{}",
        failed.causes[0].message
    );
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": "deployer", "namespace": scene.namespace},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "create", "patch", "delete"]}]});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "deployer", "namespace": scene.namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "deployer"},
        "subjects": [{"kind": "ServiceAccount", "name": "deployer", "namespace": scene.namespace}]});
    for object in [role, binding] {
        scene
            .cluster
            .apply(&object, ApplyMode::Force)
            .await
            .unwrap();
    }
    // The release after the right was given need not wait for the next try of the one before.
    scene.repository.release("web", &[config("web", "2")]);
    agent.phase("web", 2, Phase::Healthy).await;
    assert!(scene.get("v1", "ConfigMap", "web").await.is_some());
}

/// A server that knows what the site `first` has told.
#[derive(Clone, Default)]
struct Known {
    outcomes: Arc<Mutex<Vec<Value>>>,
    request: Arc<Mutex<Option<Value>>>,
    files: Arc<Mutex<Value>>,
    previews: Arc<Mutex<Vec<Value>>>,
}

impl Known {
    async fn start(&self) -> ServerOptions {
        let outcomes =
            |State(known): State<Self>| async move { Json(known.outcomes.lock().unwrap().clone()) };
        let files =
            |State(known): State<Self>| async move { Json(known.files.lock().unwrap().clone()) };
        let routes = Router::new()
            .route("/api/v1/requests", get(requests))
            .route("/api/v1/requests/{id}/files", get(files))
            .route("/api/v1/previews", post(preview))
            .route("/api/v1/outcomes", post(|| async { Json(1) }))
            .route("/api/v1/outcomes/{environment}/{service}", get(outcomes))
            .route(
                "/api/v1/tip",
                get(|| async { std::future::pending::<Json<Value>>().await }),
            )
            .with_state(self.clone());
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        ServerOptions {
            url: url.parse().unwrap(),
            token: "secret".to_owned().into(),
        }
    }
}

/// Waits a moment where there is nothing new, as the real one does.
async fn requests(State(known): State<Known>, Query(query): Query<Value>) -> Json<Value> {
    for _ in 0..100 {
        let request = known.request.lock().unwrap().clone();
        let version = request.as_ref().map_or("none", |_| "one");
        if query["after"] != version {
            return Json(json!({"version": version, "requests": Vec::from_iter(request)}));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Json(
        json!({"version": query["after"], "requests": Vec::from_iter(known.request.lock().unwrap().clone())}),
    )
}

async fn preview(State(known): State<Known>, Json(preview): Json<Value>) -> Json<bool> {
    known.previews.lock().unwrap().push(preview);
    Json(true)
}

pub(crate) async fn an_open_request_is_tried_on_the_cluster_and_told(kind: Kind) {
    let scene = Scene::new(kind, "preview").await;
    scene
        .repository
        .release("web", &[config("web", "1"), config("old", "1")]);
    let known = Known::default();
    let mut options = scene.options().await;
    options.server = Some(known.start().await);
    let mut agent = scene.start_with(options);
    agent.phase("web", 1, Phase::Healthy).await;
    *known.files.lock().unwrap() = json!({
        "a.yaml": config("web", "2"),
        "b.yaml": config("new", "1"),
        "c.yaml": "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [{port: 99999}]}}",
    });
    *known.request.lock().unwrap() = Some(json!({
        "id": "web-1", "service": "web", "environment": scene.environment, "artifact": foreshore_model::Digest::of(b"2"),
        "artifact_id": "main-2-plan", "requested_by": {"name": "ada", "email": "ada@example.org"}, "reason": "",
        "at": "2026-11-20T12:00:00Z",
    }));
    scene
        .until("the preview", async || {
            !known.previews.lock().unwrap().is_empty()
        })
        .await;
    let told = known.previews.lock().unwrap()[0].clone();
    let of = |object: &str| {
        let objects = told["objects"].as_array().unwrap().iter();
        let found = objects.into_iter().find(|found| found["object"] == object);
        found
            .unwrap_or_else(|| panic!("{object} is not in {told}"))
            .clone()
    };
    assert_eq!(of("ConfigMap/web")["effect"], "changed");
    assert!(
        of("ConfigMap/web")["details"]
            .as_array()
            .unwrap()
            .contains(&json!("data.key"))
    );
    assert_eq!(of("ConfigMap/new")["effect"], "created");
    assert_eq!(of("ConfigMap/old")["effect"], "removed");
    assert_eq!(of("Service/web")["effect"], "refused");
    assert_eq!(
        scene.get("v1", "ConfigMap", "new").await,
        None,
        "nothing is written"
    );
}

pub(crate) async fn a_site_waits_for_the_one_before_it(kind: Kind) {
    let scene = Scene::new(kind, "sites").await;
    let site = |name: &str| SiteName::new(name).unwrap();
    scene.repository.rule(|environment| {
        environment.sites = vec![site("first"), site("local")];
        environment.site_order = SiteOrder::InOrder;
    });
    scene.repository.release("web", &[config("web", "1")]);
    let known = Known::default();
    let mut options = scene.options().await;
    options.server = Some(known.start().await);
    let mut agent = scene.start_with(options);
    let waiting = agent.phase("web", 1, Phase::Progressing).await;
    assert_eq!(waiting.causes[0].reason, "WaitsForSite");
    assert!(waiting.causes[0].message.contains("`first`"));
    assert_eq!(scene.get("v1", "ConfigMap", "web").await, None);
    let first = Outcome {
        site: site("first"),
        phase: Phase::Healthy,
        causes: vec![],
        ..waiting
    };
    known
        .outcomes
        .lock()
        .unwrap()
        .push(serde_json::to_value(first).unwrap());
    agent.phase("web", 1, Phase::Healthy).await;
    assert!(scene.get("v1", "ConfigMap", "web").await.is_some());
}
