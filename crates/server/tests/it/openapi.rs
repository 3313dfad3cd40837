//! The published document: kept in the repository, complete, and true.

use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};

use crate::contract::Contract;
use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn the_kept_document_is_the_one_that_is_served() {
    let stage = Stage::new().await;
    let served = stage.open("/openapi.json").await.text().await.unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/openapi.json");
    if is_to_be_written() {
        std::fs::write(&path, &served).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == served,
        "docs/reference/openapi.json is not what is served; write it anew with `FORESHORE_UPDATE=1 cargo test -p foreshore-server --test it openapi`"
    );
}

/// Whoever runs the test may ask for it.
fn is_to_be_written() -> bool {
    std::env::var_os("FORESHORE_UPDATE").is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_of_the_document_is_a_route_and_asks_who_is_there() {
    let stage = Stage::new().await;
    let contract = Contract::new();
    for (path, item) in contract.document()["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let asked = path
                .replace("{environment}", "dev")
                .replace("{service}", "web")
                .replace("{id}", "x-1-2")
                .replace("{name}", "x");
            let method: Method = method.to_uppercase().parse().unwrap();
            let (code, answer) = stage.strange(method.clone(), &asked).await;
            assert_eq!(code, 401, "{method} {asked} without a token: {answer}");
            assert_eq!(operation["security"], json!([{"token": []}]), "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_is_not_in_the_document_is_no_route() {
    let stage = Stage::new().await;
    let answer: Result<Value, _> = stage.try_get("/nothing").await;
    crate::stage::refused(answer, 6, "the server has no such path");
}

/// The paths that no other test of this file's neighbours comes by.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_seldom_asked_answers_as_the_document_says() {
    let stage = Stage::new().await;
    let release = stage.healthy_in_dev("web", 1).await;
    let id = &release.artifact_id;
    for path in [
        "/info",
        "/tip",
        "/loads",
        "/artifacts?service=web",
        &format!("/artifacts/web/{id}"),
        "/builds",
        "/outcomes/dev/web",
        "/secrets/dev/web",
        "/history/dev/web?count=3",
        "/requests",
        "/freezes",
        "/policies",
    ] {
        let _checked_on_the_way: Value = stage.get(path).await;
    }
}
