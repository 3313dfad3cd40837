//! How others hear of changes: webhook, live stream, numbers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::Value;

use crate::stage::Stage;

const PATIENCE: Duration = Duration::from_mins(1);

/// A webhook that is down for its first calls.
#[derive(Clone, Default)]
struct Webhook {
    failures: Arc<Mutex<u32>>,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Webhook {
    async fn start(&self) -> url::Url {
        let routes = Router::new()
            .route("/hook", post(hear))
            .with_state(self.clone());
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        url.parse().unwrap()
    }

    async fn until(&self, count: usize) -> Vec<String> {
        let all = async {
            loop {
                let heard = self.heard.lock().unwrap().clone();
                if heard.len() >= count {
                    return heard;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, all).await.unwrap()
    }
}

async fn hear(State(webhook): State<Webhook>, Json(message): Json<Value>) -> StatusCode {
    let mut failures = webhook.failures.lock().unwrap();
    if *failures > 0 {
        *failures -= 1;
        return StatusCode::BAD_GATEWAY;
    }
    let subject = message["subject"].as_str().unwrap().to_owned();
    webhook.heard.lock().unwrap().push(subject);
    StatusCode::NO_CONTENT
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_hears_of_every_change_in_order_also_after_it_was_down() {
    let webhook = Webhook::default();
    *webhook.failures.lock().unwrap() = 2;
    let stage = Stage::with_webhook(Some(webhook.start().await)).await;
    stage.in_dev("web", 1).await;
    stage.in_dev("web", 2).await;
    let heard = webhook.until(2).await;
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert!(
        heard
            .iter()
            .all(|subject| subject.starts_with("[dev/web] auto-release"))
    );
    assert_ne!(heard[0], heard[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_tells_the_status_at_once_and_again_when_it_changes() {
    let stage = Stage::new().await;
    let mut stream = stage.open("/api/v1/events").await;
    let mut text = String::new();
    let mut until = async |part: &str| {
        let read = async {
            while !text.contains(part) {
                let chunk = stream.chunk().await.unwrap().unwrap();
                text.push_str(&String::from_utf8_lossy(&chunk));
            }
        };
        tokio::time::timeout(PATIENCE, read).await.unwrap();
    };
    until("event: status").await;
    stage.in_dev("web", 1).await;
    until("\"service\":\"web\"").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_told_to_prometheus() {
    let stage = Stage::new().await;
    stage.healthy_in_dev("web", 1).await;
    let text = stage.open("/metrics").await.text().await.unwrap();
    for line in [
        "# TYPE foreshore_services gauge",
        "foreshore_services{environment=\"dev\",health=\"healthy\"} 1",
        "foreshore_requests_open 0",
        "foreshore_config_problems 0",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "`{line}` is not in:\n{text}"
        );
    }
    assert!(
        text.contains("foreshore_agent_age_seconds{environment=\"dev\"}"),
        "{text}"
    );
}
