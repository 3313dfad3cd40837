//! The server's API as far as the pages use it, with answers of the tests' own.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, RawQuery, Request, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use foreshore_identity::Principal;
use serde_json::{Value, json};
use tokio::sync::watch;

/// A release request that arrived, and who was behind it.
pub(crate) type Arrived = (String, Value);

#[derive(Debug, Clone)]
pub(crate) struct Api {
    status: watch::Sender<Value>,
    loads: watch::Sender<Value>,
    pub(crate) arrived: Arc<Mutex<Vec<Arrived>>>,
}

pub(crate) fn release(service: &str, environment: &str, sequence: u64, reason: &str) -> Value {
    json!({
        "service": service, "environment": environment,
        "release": {
            "service": service, "environment": environment, "sequence": sequence,
            "artifact": format!("sha256:{}", format!("{sequence:x}").repeat(64).chars().take(64).collect::<String>()),
            "artifact_id": format!("main-0123456789-{sequence:010}"),
            "intent": {"kind": "release"}, "actor": {"name": "ada", "email": "ada@example.org"},
            "reason": reason, "at": "2026-01-01T10:00:00Z", "previous": format!("sha256:{}", "b".repeat(64)),
        },
        "outcomes": [],
    })
}

impl Api {
    pub(crate) fn new(services: &[Value]) -> Self {
        let status = json!({"version": "1", "commit": "0123456789abcdef", "services": services, "requests": [], "agents": []});
        Self {
            status: watch::Sender::new(status),
            loads: watch::Sender::new(json!({"version": 1, "runs": []})),
            arrived: Arc::default(),
        }
    }

    /// Makes everything under `services` the new state.
    pub(crate) fn set(&self, services: &[Value]) {
        self.status.send_modify(|status| {
            let version: u64 = status["version"].as_str().unwrap().parse().unwrap();
            status["version"] = json!((version + 1).to_string());
            status["services"] = json!(services);
        });
    }

    /// Makes these the load runs that the server knows of.
    pub(crate) fn set_loads(&self, runs: &[Value]) {
        self.loads.send_modify(|loads| {
            loads["version"] = json!(loads["version"].as_u64().unwrap() + 1);
            loads["runs"] = json!(runs);
        });
    }

    pub(crate) fn router(&self) -> Router {
        Router::new()
            .route("/api/v1/status", get(status))
            .route("/api/v1/loads", get(loads))
            .route("/api/v1/freezes", get(|| async { Json(json!([])) }))
            .route("/api/v1/releases", post(releases))
            .route("/api/v1/operations/{environment}/{service}", post(operations))
            .route("/api/v1/explain", post(|| async { Json(json!({"service": "web", "environment": "prod", "artifact": format!("sha256:{}", "a".repeat(64)), "artifact_id": "main-a-b", "allowed": true, "approvals": 0, "terms": [{"name": "branch", "holds": true, "words": "main is allowed"}]})) }))
            .route("/api/v1/diff", post(|| async { Json(json!({"from": "prod number 1", "to": "artifact main-a-b", "files": [{"path": "web.yaml", "text": "-replicas: 1\n+replicas: 2\n"}]})) }))
            .route("/api/v1/history/{environment}/{service}", get(history))
            .route("/api/v1/audit", get(|| async { Json(json!([{"commit": "c".repeat(40), "at": "2026-01-01T10:00:00Z", "actor": "ada", "subject": "[dev/web] release", "trailers": [["Reason", "first"]], "by_writer": true}])) }))
            .route("/inside/world", get(|| async { Json(json!({"environments": [
                {"name": "dev", "namespace": "dev"},
                {"name": "staging", "namespace": "staging", "promotes_from": "dev"},
                {"name": "prod", "namespace": "prod", "promotes_from": "staging", "production": true},
            ]})) }))
            .with_state(self.clone())
    }
}

async fn status(State(api): State<Api>, RawQuery(query): RawQuery) -> Json<Value> {
    let query = query.unwrap_or_default();
    let known = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("after="));
    if let Some(known) = known {
        let mut receiver = api.status.subscribe();
        let changed = receiver.wait_for(|status| status["version"] != known);
        // Both ends are an answer.
        drop(tokio::time::timeout(Duration::from_secs(20), changed).await);
    }
    Json(api.status.borrow().clone())
}

async fn loads(State(api): State<Api>, RawQuery(query): RawQuery) -> Json<Value> {
    let query = query.unwrap_or_default();
    let known = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("after=")?.parse::<u64>().ok());
    let mut receiver = api.loads.subscribe();
    let changed = receiver.wait_for(|loads| loads["version"].as_u64() != known);
    // Both ends are an answer.
    drop(tokio::time::timeout(Duration::from_secs(20), changed).await);
    let answer = api.loads.borrow().clone();
    Json(answer)
}

async fn releases(State(api): State<Api>, request: Request) -> Json<Value> {
    let who = request
        .extensions()
        .get::<Principal>()
        .unwrap()
        .actor
        .name
        .clone();
    let bytes = axum::body::to_bytes(request.into_body(), usize::MAX)
        .await
        .unwrap();
    let body: Value = serde_json::from_slice(&bytes).unwrap();
    let dry = body["dry_run"] == true;
    let place = (
        body["service"].as_str().unwrap().to_owned(),
        body["environment"].as_str().unwrap().to_owned(),
    );
    api.arrived.lock().unwrap().push((who, body));
    if dry {
        return Json(
            json!({"result": "steps", "steps": ["write release.yaml", "commit: promote"]}),
        );
    }
    let release = release(&place.0, &place.1, 9, "promoted")["release"].clone();
    Json(json!({"result": "committed", "commit": "d".repeat(40), "release": release}))
}

async fn operations(State(api): State<Api>, request: Request) -> Json<Value> {
    let who = request
        .extensions()
        .get::<Principal>()
        .unwrap()
        .actor
        .name
        .clone();
    let bytes = axum::body::to_bytes(request.into_body(), usize::MAX)
        .await
        .unwrap();
    let body: Value = serde_json::from_slice(&bytes).unwrap();
    let commit = (body["dry_run"] != true).then(|| "e".repeat(40));
    api.arrived.lock().unwrap().push((who, body));
    Json(
        json!({"commit": commit, "operations": {"number": 1, "replicas": {"web": 3}}, "words": ["web: 3 replicas"]}),
    )
}

async fn history(Path((environment, service)): Path<(String, String)>) -> Json<Value> {
    Json(json!([{
        "commit": "f".repeat(40), "at": "2026-01-01T10:00:00Z", "actor": "ada", "subject": format!("[{environment}/{service}] release"),
        "reason": "<b>first</b>", "sequence": 1, "artifact_id": "main-0123456789-0000000001",
    }]))
}
