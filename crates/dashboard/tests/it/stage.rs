//! A dashboard with one or two clusters, and a browser's requests to it.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, BodyDataStream};
use foreshore_dashboard::{Dashboard, Options};
use foreshore_identity::{Principal, Right};
use foreshore_model::Actor;
use futures::StreamExt as _;
use http::{HeaderMap, Request, StatusCode, header};
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::ServiceExt as _;

use crate::cluster::Cluster;
use crate::server::{Api, release};

/// Long enough for a loaded machine.
const PATIENCE: Duration = Duration::from_mins(1);
pub(crate) const HOST: &str = "127.0.0.1:7070";

pub(crate) struct Stage {
    pub(crate) router: Router,
    pub(crate) cluster: Cluster,
    pub(crate) api: Api,
    pub(crate) dashboard: Dashboard,
    _folder: tempfile::TempDir,
    _end: DropGuard,
}

/// What was answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

pub(crate) fn pod(name: &str, namespace: &str, ready: bool) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "uid": format!("uid-{name}"), "labels": {"app": "web"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "uid": "u", "controller": true}]},
        "spec": {"nodeName": "node-a", "containers": [{"name": "web", "image": "web:1", "readinessProbe": {"httpGet": {"path": "/health", "port": 8080}}}]},
        "status": {"phase": "Running", "podIP": "10.0.0.1", "containerStatuses": [{"name": "web", "ready": ready, "restartCount": 2, "state": {"running": {}}}]},
    })
}

fn owned(kind: &str, name: &str, more: &Value) -> Value {
    let mut object = json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": "dev", "uid": name, "labels": {"foreshore.local/service": "web", "foreshore.local/environment": "dev"}}});
    for (key, value) in more.as_object().unwrap() {
        object[key] = value.clone();
    }
    object
}

impl Stage {
    /// One cluster with one service in `dev`, released also in `prod`.
    pub(crate) async fn new() -> Self {
        let cluster = Cluster::new();
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-a"}, "spec": {},
            "status": {"conditions": [{"type": "Ready", "status": "True"}], "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"}}});
        cluster.put("/api/v1/nodes", node);
        cluster.put("/api/v1/pods", pod("web-1-a", "dev", true));
        let mut set = owned(
            "ReplicaSet",
            "web-1",
            &json!({"spec": {"replicas": 1}, "status": {"readyReplicas": 1}}),
        );
        set["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "d", "controller": true}]);
        cluster.put("/apis/apps/v1/replicasets", set);
        cluster.put("/apis/apps/v1/deployments", owned("Deployment", "web", &json!({"spec": {"replicas": 1}, "status": {"readyReplicas": 1, "updatedReplicas": 1}})));
        let api = Api::new(&[
            release("web", "dev", 2, "hello"),
            release("web", "prod", 1, ""),
        ]);
        let folder = tempfile::tempdir().unwrap();
        let shutdown = CancellationToken::new();
        let principal = |name: &str, rights: &[Right]| Principal {
            actor: Actor::new(name, format!("{name}@example.org")),
            rights: rights.to_vec(),
        };
        let dashboard = Dashboard::start(
            Options {
                api: api.router(),
                reader: principal("reader", &[Right::Read]),
                owner: principal("ada", &[Right::Read, Right::Release, Right::Approve]),
                address: HOST.parse().unwrap(),
                ground: "a test".to_owned(),
                version: "0".to_owned(),
                audit: folder.path().join("audit.jsonl"),
                cache: Some(folder.path().join("cache")),
            },
            shutdown.clone(),
        )
        .unwrap();
        dashboard.watch("local".parse().unwrap(), cluster.client());
        let stage = Self {
            router: dashboard.router(),
            cluster,
            api,
            dashboard,
            _folder: folder,
            _end: shutdown.drop_guard(),
        };
        // Everything is there once both the release and its pod are shown.
        stage
            .until("/services", |page| {
                page.contains("main-0123456789-0000000002") && page.contains(">1/1<")
            })
            .await;
        stage.until("/", |page| page.contains("local: live")).await;
        stage
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        send(&self.router, request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(
            Request::get(path)
                .header(header::HOST, HOST)
                .body(Body::empty())
                .unwrap(),
        )
        .await
    }

    /// Sends a form as a page of ours would.
    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.send(
            form(path, fields)
                .header("sec-fetch-site", "same-origin")
                .body(body(fields))
                .unwrap(),
        )
        .await
    }

    /// Opens a preview and confirms it; returns the page where the result is.
    pub(crate) async fn confirm(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let token = token(&self.get(path).await.text);
        self.post("/act", &[&[("token", token.as_str())][..], fields].concat())
            .await
    }

    /// Waits until a page shows something.
    pub(crate) async fn until(&self, path: &str, shows: impl Fn(&str) -> bool) -> String {
        let limit = tokio::time::Instant::now() + PATIENCE;
        loop {
            let page = self.get(path).await.text;
            if shows(&page) {
                return page;
            }
            assert!(
                tokio::time::Instant::now() < limit,
                "{path} never showed it: {page}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Opens the stream of a page.
    pub(crate) async fn stream(&self, path: &str) -> Events {
        let request = Request::get(path)
            .header(header::HOST, HOST)
            .body(Body::empty())
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        Events {
            stream: response.into_body().into_data_stream(),
            text: String::new(),
        }
    }
}

pub(crate) async fn send(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    Answer {
        status: parts.status,
        headers: parts.headers,
        text: String::from_utf8(bytes.to_vec()).unwrap(),
    }
}

pub(crate) fn form(path: &str, _: &[(&str, &str)]) -> http::request::Builder {
    Request::post(path)
        .header(header::HOST, HOST)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
}

pub(crate) fn body(fields: &[(&str, &str)]) -> Body {
    Body::from(
        url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish(),
    )
}

/// The token of a preview.
pub(crate) fn token(page: &str) -> String {
    let (_, rest) = page
        .split_once("name=token value=\"")
        .unwrap_or_else(|| panic!("no token in {page}"));
    rest.split_once('"').unwrap().0.to_owned()
}

/// A page's stream of changes.
pub(crate) struct Events {
    stream: BodyDataStream,
    text: String,
}

impl Events {
    /// Reads until an event says something.
    pub(crate) async fn until(&mut self, shows: impl Fn(&str) -> bool) {
        let read = async {
            loop {
                while let Some((event, rest)) = self.text.split_once("\n\n") {
                    let (event, rest) = (event.to_owned(), rest.to_owned());
                    self.text = rest;
                    if shows(&event) {
                        return;
                    }
                }
                let chunk = self
                    .stream
                    .next()
                    .await
                    .expect("the stream goes on")
                    .unwrap();
                self.text.push_str(std::str::from_utf8(&chunk).unwrap());
            }
        };
        tokio::time::timeout(PATIENCE, read)
            .await
            .expect("the stream says it");
    }
}
