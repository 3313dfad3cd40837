//! Replicas, floors and pause without a build.

use foreshore_model::Phase;
use foreshore_model::api::{OperationsAnswer, Problem};
use reqwest::Method;
use serde_json::{Value, json};

use crate::stage::{Stage, refused};

async fn operate(stage: &Stage, change: Value, key: &str) -> Result<OperationsAnswer, Problem> {
    let request = json!({"change": change, "reason": "show", "idempotency_key": key});
    stage.post("/operations/dev/web", request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_committed_shown_as_pending_and_carried_out_when_the_agent_says_so() {
    let stage = Stage::new().await;
    let release = stage.healthy_in_dev("web", 1).await;
    let answer = operate(&stage, json!({"kind": "replicas", "replicas": 3}), "a")
        .await
        .unwrap();
    assert!(answer.commit.is_some());
    assert_eq!(answer.operations.replicas["web"], 3);
    let row = stage.row("dev", "web").await.unwrap();
    assert!(row.is_operation_pending());
    assert_eq!(row.release.sequence, release.sequence, "it is no release");
    let repeated = operate(&stage, json!({"kind": "replicas", "replicas": 3}), "a")
        .await
        .unwrap();
    assert_eq!(repeated.commit, answer.commit);
    let up = operate(&stage, json!({"kind": "step", "by": 1}), "b")
        .await
        .unwrap();
    assert_eq!(
        (up.operations.replicas["web"], up.operations.number),
        (4, 2)
    );
    stage
        .report(&release, Phase::Healthy, |outcome| outcome.operations = 1)
        .await;
    assert!(
        stage
            .row("dev", "web")
            .await
            .unwrap()
            .is_operation_pending()
    );
    stage
        .report(&release, Phase::Healthy, |outcome| outcome.operations = 2)
        .await;
    assert!(
        !stage
            .row("dev", "web")
            .await
            .unwrap()
            .is_operation_pending()
    );
    let same = operate(&stage, json!({"kind": "replicas", "replicas": 4}), "c")
        .await
        .unwrap();
    assert_eq!(same.commit, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_release_keeps_what_people_set() {
    let stage = Stage::new().await;
    stage.in_dev("web", 1).await;
    let floor = json!({"kind": "floor", "replicas": 20, "until": "2999-01-01T00:00:00Z"});
    operate(&stage, floor, "a").await.unwrap();
    stage.in_dev("web", 2).await;
    let row = stage.row("dev", "web").await.unwrap();
    assert_eq!(row.release.sequence, 2);
    assert_eq!(row.operations.floors[0].replicas, 20);
    assert_eq!(row.operations.replicas["web"], 1, "what to go back to");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_meant_is_refused_and_who_moved_first_is_named() {
    let stage = Stage::new().await;
    stage.in_dev("web", 1).await;
    let slip = json!({"kind": "replicas", "workload": "webb", "replicas": 3});
    refused(operate(&stage, slip, "a").await, 6, "did you mean `web`?");
    let many = json!({"kind": "replicas", "replicas": 100_000});
    refused(operate(&stage, many, "b").await, 2, "more than the 1000");
    let bounds = json!({"kind": "bounds", "min": 1, "max": 3});
    refused(operate(&stage, bounds, "c").await, 2, "no autoscaler");
    operate(&stage, json!({"kind": "pause"}), "d")
        .await
        .unwrap();
    let late = json!({"change": {"kind": "resume"}, "idempotency_key": "e", "expected": 0});
    let answer: Result<OperationsAnswer, Problem> = stage
        .ask("reviewer", Method::POST, "/operations/dev/web", late)
        .await;
    refused(answer, 5, "owner moved first");
    let request = json!({"change": {"kind": "pause"}, "idempotency_key": "f"});
    let unknown: Result<OperationsAnswer, Problem> =
        stage.post("/operations/dev/webb", request.clone()).await;
    refused(unknown, 6, "did you mean `web`?");
    let agent: Result<OperationsAnswer, Problem> = stage
        .ask("agent", Method::POST, "/operations/dev/web", request)
        .await;
    refused(agent, 3, "`agent` may not");
}
