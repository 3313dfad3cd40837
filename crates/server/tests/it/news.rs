//! How others hear of changes: webhook, live stream, numbers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::Value;
use tokio::net::TcpSocket;

use crate::stage::Stage;

const PATIENCE: Duration = Duration::from_mins(1);

/// A webhook that answers as it is told, and takes everything once it has nothing more to say.
#[derive(Clone, Default)]
struct Webhook {
    answers: Arc<Mutex<VecDeque<StatusCode>>>,
    /// Subjects of the messages it took.
    heard: Arc<Mutex<Vec<String>>>,
    asked: Arc<Mutex<usize>>,
    /// Held back while somebody holds this.
    gate: Arc<tokio::sync::Mutex<()>>,
}

impl Webhook {
    fn answering(codes: &[u16]) -> Self {
        let webhook = Self::default();
        let codes = codes
            .iter()
            .map(|code| StatusCode::from_u16(*code).unwrap());
        webhook.answers.lock().unwrap().extend(codes);
        webhook
    }

    fn start(&self) -> url::Url {
        let socket = Self::socket();
        let url = address(&socket);
        self.listen(socket);
        url
    }

    /// An address where nobody listens yet, and nobody else can.
    fn socket() -> TcpSocket {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        socket
    }

    fn listen(&self, socket: TcpSocket) {
        let routes = Router::new()
            .route("/hook", post(hear))
            .with_state(self.clone());
        let listener = socket.listen(16).unwrap();
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    }

    async fn until(&self, count: usize) -> Vec<String> {
        eventually(|| async {
            let heard = self.heard.lock().unwrap().clone();
            (heard.len() >= count).then_some(heard)
        })
        .await
    }
}

fn address(socket: &TcpSocket) -> url::Url {
    let address = socket.local_addr().unwrap();
    format!("http://{address}/hook").parse().unwrap()
}

async fn eventually<T, F: Future<Output = Option<T>>>(mut look: impl FnMut() -> F) -> T {
    let all = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, all).await.unwrap()
}

async fn hear(State(webhook): State<Webhook>, Json(message): Json<Value>) -> Response {
    *webhook.asked.lock().unwrap() += 1;
    drop(webhook.gate.lock().await);
    let answer = webhook.answers.lock().unwrap().pop_front();
    if let Some(code) = answer {
        // Where a redirect would lead: back here, where it would be heard.
        return (code, [("location", "/hook")]).into_response();
    }
    let subject = message["subject"].as_str().unwrap().to_owned();
    webhook.heard.lock().unwrap().push(subject);
    StatusCode::NO_CONTENT.into_response()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_hears_of_every_change_in_order_also_after_errors_of_its_own() {
    let webhook = Webhook::answering(&[502, 500, 429]);
    let stage = Stage::with_webhook(Some(webhook.start())).await;
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
    assert_eq!(*webhook.asked.lock().unwrap(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_down_holds_nothing_up_and_hears_all_of_it_later() {
    let (webhook, socket) = (Webhook::default(), Webhook::socket());
    let stage = Stage::with_webhook(Some(address(&socket))).await;
    stage.in_dev("web", 1).await;
    stage.in_dev("web", 2).await;
    let problem = eventually(|| async { stage.status().await.webhook?.problem }).await;
    assert!(problem.contains("cannot reach the webhook"), "{problem}");
    webhook.listen(socket);
    assert_eq!(webhook.until(2).await.len(), 2);
    let told = eventually(|| async {
        let told = stage.status().await.webhook?;
        (told.told == 2).then_some(told)
    })
    .await;
    assert_eq!((told.given_up, told.problem), (0, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_webhook_does_not_hold_a_release_up() {
    let webhook = Webhook::default();
    let gate = webhook.gate.clone().lock_owned().await;
    let stage = Stage::with_webhook(Some(webhook.start())).await;
    stage.in_dev("web", 1).await;
    let asked = || async { (*webhook.asked.lock().unwrap() > 0).then_some(()) };
    eventually(asked).await;
    // It has the first message and says nothing; others are released meanwhile.
    stage.in_dev("web", 2).await;
    assert!(webhook.heard.lock().unwrap().is_empty());
    drop(gate);
    assert_eq!(webhook.until(2).await.len(), 2);
}

/// Refused for good, in the answer's own words; returns what the status says of it.
async fn given_up(code: u16) -> String {
    let webhook = Webhook::answering(&[code]);
    let stage = Stage::with_webhook(Some(webhook.start())).await;
    stage.in_dev("web", 1).await;
    let told = eventually(|| async {
        let told = stage.status().await.webhook?;
        (told.given_up == 1).then_some(told)
    })
    .await;
    assert_eq!(*webhook.asked.lock().unwrap(), 1);
    let text = stage.open("/metrics").await.text().await.unwrap();
    assert!(
        text.contains("foreshore_webhook_given_up_total 1\n"),
        "{text}"
    );
    assert!(text.contains("foreshore_webhook_failing 1\n"), "{text}");
    // What comes after it is told as ever.
    stage.in_dev("web", 2).await;
    assert_eq!(webhook.until(1).await.len(), 1);
    told.problem.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_refused_for_good_is_given_up_and_said() {
    let problem = given_up(404).await;
    for part in [
        "the webhook answered 404: nobody is there; correct the address",
        "it never hears of commit",
        "[dev/web] auto-release",
    ] {
        assert!(problem.contains(part), "`{part}` is not in: {problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed() {
    let problem = given_up(307).await;
    assert!(
        problem.contains("it leads elsewhere, which is not followed"),
        "{problem}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_told_before_a_restart_is_told_after_it_and_nothing_twice() {
    let webhook = Webhook::default();
    let url = webhook.start();
    let mut stage = Stage::with_webhook(Some(url.clone())).await;
    stage.in_dev("web", 1).await;
    webhook.until(1).await;
    eventually(|| async { (stage.status().await.webhook?.told == 1).then_some(()) }).await;
    // Nobody listens here while the second change is made.
    let away = Webhook::socket();
    stage
        .restart(|options| options.webhook = Some(address(&away)))
        .await;
    stage.in_dev("web", 2).await;
    stage.restart(|options| options.webhook = Some(url)).await;
    stage.in_dev("web", 3).await;
    let heard = webhook.until(3).await;
    assert_eq!(heard.len(), 3, "{heard:?}");
    for (subject, n) in heard.iter().zip(1..) {
        assert!(subject.contains(&format!("main-{n:010x}")), "{heard:?}");
    }
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
