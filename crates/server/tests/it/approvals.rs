//! Requests: what people see before they agree, and two people at once.

use foreshore_model::api::{Problem, ReleaseAnswer, RequestDetail};
use reqwest::Method;
use serde_json::json;

use crate::stage::{Stage, promotion, refused};

async fn requested(stage: &Stage, key: &str) -> String {
    match stage.promote("web", key).await.unwrap() {
        ReleaseAnswer::Requested { request, .. } => request.id,
        other => panic!("no request: {other:?}"),
    }
}

async fn approve(stage: &Stage, who: &str, id: &str) -> Result<ReleaseAnswer, Problem> {
    let path = format!("/requests/{id}/approve");
    stage.ask(who, Method::POST, &path, json!({})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_shows_what_would_change_and_every_term() {
    let stage = Stage::new().await;
    stage.healthy_in_dev("web", 1).await;
    let first = requested(&stage, "a").await;
    assert!(matches!(
        approve(&stage, "reviewer", &first).await.unwrap(),
        ReleaseAnswer::Committed { .. }
    ));
    stage.healthy_in_dev("web", 2).await;
    let second = requested(&stage, "b").await;
    let detail: RequestDetail = stage.get(&format!("/requests/{second}")).await;
    assert_eq!(detail.needed, 1);
    assert!(detail.explanation.allowed);
    let text = &detail.difference.files[0].text;
    assert!(text.contains("-          image: app:1"), "{text}");
    assert!(text.contains("+          image: app:2"), "{text}");
    let missing: Result<RequestDetail, Problem> = stage
        .ask("owner", Method::GET, "/requests/web-prod-zzz", json!({}))
        .await;
    refused(missing, 6, "no open request");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agents_dry_run_is_shown_with_the_request_it_was_made_for() {
    let stage = Stage::new().await;
    let release = stage.healthy_in_dev("web", 1).await;
    let id = requested(&stage, "a").await;
    let preview = |request: &str| {
        json!({
            "request": request, "environment": "prod", "site": "local", "artifact": release.artifact,
            "objects": [{"object": "Deployment/web", "effect": "created"}], "at": "2026-11-20T12:00:00Z",
        })
    };
    let known: bool = stage
        .ask("agent", Method::POST, "/previews", preview(&id))
        .await
        .unwrap();
    let outdated: bool = stage
        .ask("agent", Method::POST, "/previews", preview("old"))
        .await
        .unwrap();
    assert!(known && !outdated);
    let detail: RequestDetail = stage.get(&format!("/requests/{id}")).await;
    assert_eq!(detail.previews[0].objects[0].effect, "created");
    let person: Result<bool, Problem> = stage.post("/previews", preview(&id)).await;
    refused(person, 3, "may not report previews");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_loser_of_two_releases_at_once_is_told_who_won() {
    let stage = Stage::new().await;
    let first = stage.healthy_in_dev("web", 1).await;
    let (second, _) = stage.push("web", 2, "hotfix").await;
    let (third, _) = stage.push("web", 3, "hotfix").await;
    let release = |id: &foreshore_model::ArtifactId, key: &str| {
        json!({
            "service": "web", "environment": "dev", "selection": {"id": id}, "idempotency_key": key,
            "expected": first.artifact,
        })
    };
    let ask = async |who: &'static str, id, key| -> Result<ReleaseAnswer, Problem> {
        stage
            .ask(who, Method::POST, "/releases", release(id, key))
            .await
    };
    let (one, two) = tokio::join!(ask("owner", &second, "one"), ask("reviewer", &third, "two"));
    let (loser, winner) = match (one, two) {
        (Ok(_), Err(loser)) => (loser, "owner"),
        (Err(loser), Ok(_)) => (loser, "reviewer"),
        other => panic!("one of them wins: {other:?}"),
    };
    refused::<()>(Err(loser), 5, &format!("{winner} moved first"));
    assert_eq!(stage.row("dev", "web").await.unwrap().release.sequence, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_branch_of_a_request_shows_the_files_of_its_release() {
    let stage = Stage::new().await;
    stage.healthy_in_dev("web", 1).await;
    let id = requested(&stage, "a").await;
    let again: ReleaseAnswer = stage
        .post("/releases", promotion("web", "other"))
        .await
        .unwrap();
    let ReleaseAnswer::Requested { request, .. } = again else {
        panic!("{again:?}")
    };
    assert_eq!(request.id, id, "the same wish is the same request");
    let branch = format!("requests/{id}");
    let shown = stage.git(&[
        "show",
        &format!("{branch}:environments/prod/web/manifests/deployment-web.yaml"),
    ]);
    assert!(shown.contains("image: app:1"), "{shown}");
    let described = stage.git(&["show", &format!("{branch}:request.yaml")]);
    assert!(described.contains(&id), "{described}");
    assert!(
        stage.row("prod", "web").await.is_none(),
        "main has nothing of it"
    );
}
