//! Token services, and where credentials go.

use std::sync::{Arc, Mutex};

use axum::extract::Request;
use axum::response::Response;
use foreshore_image::{ClientOptions, Credentials, PullError, PullOptions};
use foreshore_model::chain;

use crate::fixture::{Scripted, response};

fn as_ci() -> PullOptions {
    let credentials = Credentials::Basic {
        user: "ci".into(),
        password: "secret".into(),
    };
    let client = ClientOptions {
        credentials,
        ..ClientOptions::default()
    };
    PullOptions {
        client,
        ..PullOptions::default()
    }
}

fn challenge(value: &str) -> Response {
    let mut answer = response(401, "");
    answer
        .headers_mut()
        .insert("www-authenticate", value.parse().unwrap());
    answer
}

fn authorization(request: &Request) -> Option<&str> {
    request
        .headers()
        .get("authorization")
        .map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_token_is_fetched_once_for_what_is_needed_and_used_for_all() {
    let queries = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&queries);
    let scripted = Scripted::start(move |request| {
        if request.uri().path() == "/token" {
            log.lock()
                .unwrap()
                .push(request.uri().query().unwrap().to_owned());
            let right = authorization(request) == Some("Basic Y2k6c2VjcmV0");
            return Some(if right {
                response(200, r#"{"token":"abc"}"#)
            } else {
                response(401, "")
            });
        }
        let realm = format!(
            "http://{}/token",
            request.headers()["host"].to_str().unwrap()
        );
        let wanted = format!("Bearer realm=\"{realm}\",service=\"registry\"");
        (authorization(request) != Some("Bearer abc")).then(|| challenge(&wanted))
    })
    .await;
    scripted.pull(&as_ci()).await.unwrap();
    assert_eq!(
        *queries.lock().unwrap(),
        ["service=registry&scope=repository%3Aweb%3Apull"]
    );
    let other = PullOptions {
        policy: foreshore_image::Policy::Always,
        ..PullOptions::default()
    };
    let error = scripted.pull(&other).await.unwrap_err();
    assert!(matches!(error, PullError::Unauthorized { .. }), "{error}");
}

#[tokio::test]
async fn credentials_are_not_sent_in_plain_text_to_a_stranger() {
    let scripted =
        Scripted::start(|_| Some(challenge("Bearer realm=\"http://collector.example/token\"")))
            .await;
    let error = scripted.pull(&as_ci()).await.unwrap_err();
    assert!(
        chain(&error).contains("in plain text to `http://collector.example/token`"),
        "{}",
        chain(&error)
    );
}

#[tokio::test]
async fn a_redirect_to_another_host_takes_no_credentials_along() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let elsewhere = Scripted::start(move |request| {
        log.lock()
            .unwrap()
            .push(authorization(request).map(str::to_owned));
        None
    })
    .await;
    let target = elsewhere.address.replace("127.0.0.1", "localhost");
    let scripted = Scripted::start(move |request| {
        if authorization(request).is_none() {
            return Some(challenge("Basic realm=\"x\""));
        }
        let path = request.uri().path().to_owned();
        path.contains("/blobs/").then(|| {
            let mut redirect = response(307, "");
            redirect.headers_mut().insert(
                "location",
                format!("http://{target}{path}").parse().unwrap(),
            );
            redirect
        })
    })
    .await;
    scripted.pull(&as_ci()).await.unwrap();
    let seen = seen.lock().unwrap();
    assert!(
        !seen.is_empty() && seen.iter().all(Option::is_none),
        "{seen:?}"
    );
}

#[tokio::test]
async fn refused_credentials_are_not_tried_for_ever() {
    let scripted = Scripted::start(|_| Some(challenge("Basic realm=\"x\""))).await;
    let error = scripted.pull(&as_ci()).await.unwrap_err();
    assert!(
        chain(&error).contains("wants other credentials for `web`"),
        "{}",
        chain(&error)
    );
    assert_eq!(scripted.times_asked("/"), 2);
}
