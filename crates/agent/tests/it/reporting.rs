//! Outcomes reach a server that is away for a while, and its hints reach the agent.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use foreshore_agent::ServerOptions;
use foreshore_model::{Outcome, Phase};
use foreshore_testkit::cluster::Kind;
use serde_json::{Value, json};

use crate::scene::{Scene, config};

/// A server that refuses the first reports and then takes them.
#[derive(Clone, Default)]
struct Server {
    refusals: Arc<Mutex<u32>>,
    taken: Arc<Mutex<Vec<Outcome>>>,
    tip: Arc<Mutex<String>>,
}

impl Server {
    async fn start(&self) -> ServerOptions {
        let routes = Router::new()
            .route("/base/api/v1/outcomes", post(take))
            .route("/base/api/v1/tip", get(tip))
            .with_state(self.clone());
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap();
        let url = format!("http://{}/base", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        ServerOptions {
            url: url.parse().unwrap(),
            token: "secret".to_owned().into(),
        }
    }
}

async fn take(
    State(server): State<Server>,
    headers: HeaderMap,
    Json(outcomes): Json<Vec<Outcome>>,
) -> StatusCode {
    if headers["authorization"] != "Bearer secret" {
        return StatusCode::UNAUTHORIZED;
    }
    let mut refusals = server.refusals.lock().unwrap();
    if *refusals > 0 {
        *refusals -= 1;
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    server.taken.lock().unwrap().extend(outcomes);
    StatusCode::NO_CONTENT
}

async fn tip(State(server): State<Server>, Query(query): Query<Value>) -> Json<Value> {
    for _ in 0..100 {
        let tip = server.tip.lock().unwrap().clone();
        if query["after"] != tip.as_str() {
            return Json(json!({"commit": tip}));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Json(json!({"commit": query["after"]}))
}

pub(crate) async fn outcomes_wait_for_the_server_and_arrive_once_each(kind: Kind) {
    let scene = Scene::new(kind, "report").await;
    let server = Server::default();
    *server.refusals.lock().unwrap() = 3;
    scene.repository.release("web", &[config("web", "1")]);
    let mut options = scene.options().await;
    options.server = Some(server.start().await);
    let _agent = scene.start_with(options);
    scene
        .until("the report", async || {
            server
                .taken
                .lock()
                .unwrap()
                .iter()
                .any(|outcome| outcome.phase == Phase::Healthy)
        })
        .await;
    let phases: Vec<Phase> = server
        .taken
        .lock()
        .unwrap()
        .iter()
        .map(|outcome| outcome.phase)
        .collect();
    let mut once = phases.clone();
    once.dedup();
    assert_eq!(phases, once);
    assert_eq!(phases.first(), Some(&Phase::Applying));
}

pub(crate) async fn a_hint_makes_the_agent_look_long_before_its_poll(kind: Kind) {
    let scene = Scene::new(kind, "hint").await;
    let server = Server::default();
    "0".clone_into(&mut server.tip.lock().unwrap());
    let mut options = scene.options().await;
    options.poll_interval = Duration::from_hours(1);
    options.server = Some(server.start().await);
    let mut agent = scene.start_with(options);
    agent
        .handle
        .commit()
        .wait_for(|commit| commit.as_deref() == Some("0"))
        .await
        .unwrap();
    scene.repository.release("web", &[config("web", "1")]);
    "1".clone_into(&mut server.tip.lock().unwrap());
    agent.phase("web", 1, Phase::Healthy).await;
}
