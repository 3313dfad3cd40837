//! What happens without a person: arrivals that people keep away, failures that are undone.

use foreshore_model::api::{ChangeAnswer, Problem};
use foreshore_model::{Hold, Intent, Phase};
use reqwest::Method;
use serde_json::{Value, json};

use crate::stage::{Stage, verdict};

#[tokio::test(flavor = "multi_thread")]
async fn an_arrival_that_was_held_back_does_not_come_back_when_the_hold_is_lifted() {
    let stage = Stage::new().await;
    stage.in_dev("web", 1).await;
    let path = "/holds/dev/web";
    let _hold: Hold = stage.put(path, json!({"reason": "looking"})).await.unwrap();
    let held = stage.arrive("web", 2).await;
    assert!(held.released.is_empty());
    assert!(held.withheld[0].reason.contains("looking"), "{held:?}");
    let _lifted: Option<Hold> = stage.delete(path).await.unwrap();
    let again = stage.arrive("web", 2).await;
    assert!(again.released.is_empty(), "{again:?}");
    assert!(again.withheld[0].reason.contains("withheld"), "{again:?}");
    let newer = stage.in_dev("web", 3).await;
    assert_eq!(newer.sequence, 2);
}

async fn roll_back_by_policy(stage: &Stage) {
    let policy = json!({"kind": "auto-rollback", "environment": "dev"});
    let _set: ChangeAnswer = stage.put("/policies/back", policy).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_release_goes_back_to_what_was_healthy_once_and_holds() {
    let stage = Stage::new().await;
    roll_back_by_policy(&stage).await;
    let good = stage.healthy_in_dev("web", 1).await;
    let bad = stage.in_dev("web", 2).await;
    stage.report(&bad, Phase::Failed, |_| {}).await;
    let row = stage.row("dev", "web").await.unwrap();
    assert_eq!(
        (row.release.sequence, &row.release.artifact),
        (3, &good.artifact)
    );
    assert!(matches!(row.release.intent, Intent::AutoRollback { .. }));
    assert!(row.hold.unwrap().reason.contains("number 2 failed"));
    stage.report(&row.release, Phase::Failed, |_| {}).await;
    assert_eq!(
        stage.row("dev", "web").await.unwrap().release.sequence,
        3,
        "never a rollback of a rollback"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_check_is_a_failed_release() {
    let stage = Stage::new().await;
    roll_back_by_policy(&stage).await;
    stage.healthy_in_dev("web", 1).await;
    let bad = stage.healthy_in_dev("web", 2).await;
    let failed = verdict(&bad, "smoke", false);
    stage
        .report(&bad, Phase::Healthy, |outcome| {
            outcome.verdicts = vec![failed];
        })
        .await;
    let row = stage.row("dev", "web").await.unwrap();
    assert_eq!(row.release.sequence, 3);
    assert_ne!(row.release.artifact, bad.artifact);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_undone_without_a_policy() {
    let stage = Stage::new().await;
    stage.healthy_in_dev("web", 1).await;
    let bad = stage.in_dev("web", 2).await;
    stage.report(&bad, Phase::Failed, |_| {}).await;
    assert_eq!(stage.row("dev", "web").await.unwrap().release.sequence, 2);
    let outcomes: Result<Value, Problem> = stage
        .ask("agent", Method::GET, "/outcomes/dev/web", json!({}))
        .await;
    assert_eq!(outcomes.unwrap()[0]["phase"], "failed");
}
