//! Policies and freezes: written, explained, obeyed.

use foreshore_model::Phase;
use foreshore_model::api::{
    ChangeAnswer, Explanation, FreezeRow, PolicyRow, Problem, ReleaseAnswer, ReleaseDetail,
};
use serde_json::json;

use crate::stage::{Stage, refused, verdict};

async fn explain(stage: &Stage) -> Explanation {
    let question = json!({"service": "web", "environment": "prod", "selection": {"from": null}});
    stage.post("/explain", question).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_freeze_denies_until_it_is_lifted_and_is_explained() {
    let stage = Stage::new().await;
    stage.healthy_in_dev("web", 1).await;
    let freeze = json!({
        "effect": "deny", "environments": ["prod"], "time_zone": "UTC", "reason": "live show",
        "window": {"kind": "once", "from": "2000-01-01T00:00:00", "until": "2999-01-01T00:00:00"},
    });
    let set: ChangeAnswer = stage.put("/freezes/show", freeze).await.unwrap();
    assert!(set.commit.is_some());
    let rows: Vec<FreezeRow> = stage.get("/freezes").await;
    assert!(rows[0].open && rows[0].freeze.changed.actor.name == "owner");
    refused(stage.promote("web", "a").await, 3, "frozen by `show`");
    let explanation = explain(&stage).await;
    assert!(!explanation.allowed);
    let against: Vec<&str> = explanation
        .terms
        .iter()
        .filter(|term| !term.holds)
        .map(|term| term.name.as_str())
        .collect();
    assert_eq!(against, ["freeze"]);
    let slip: Result<ChangeAnswer, Problem> = stage.delete("/freezes/shows").await;
    refused(slip, 6, "did you mean `show`?");
    let lifted: ChangeAnswer = stage.delete("/freezes/show?reason=over").await.unwrap();
    assert!(lifted.commit.is_some());
    assert!(explain(&stage).await.allowed);
    let asked = stage.promote("web", "b").await.unwrap();
    assert!(matches!(asked, ReleaseAnswer::Requested { needed: 1, .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_contradicts_another_is_refused_when_it_is_written() {
    let stage = Stage::new().await;
    let only = json!({"kind": "branch-restriction", "environment": "dev", "branch": "release/*"});
    let answer: Result<ChangeAnswer, Problem> = stage.put("/policies/only", only).await;
    refused(answer, 5, "contradicts `main-to-dev`");
    let gone: ChangeAnswer = stage.delete("/policies/main-to-dev").await.unwrap();
    assert!(gone.commit.is_some());
    let only = json!({"kind": "branch-restriction", "environment": "dev", "branch": "release/*"});
    let set: ChangeAnswer = stage.put("/policies/only", only.clone()).await.unwrap();
    assert!(set.commit.is_some());
    let again: ChangeAnswer = stage.put("/policies/only", only).await.unwrap();
    assert_eq!(again.commit, None);
    let rows: Vec<PolicyRow> = stage.get("/policies").await;
    assert_eq!(rows.len(), 1);
    let odd = json!({"kind": "branch-restricton", "environment": "dev", "branch": "x"});
    let answer: Result<ChangeAnswer, Problem> = stage.put("/policies/odd", odd).await;
    refused(answer, 2, "branch-restricton");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_required_verdict_opens_the_way_only_when_it_passed() {
    let stage = Stage::new().await;
    let policy = json!({"kind": "require-verdicts", "environment": "prod", "checks": ["smoke"]});
    let _set: ChangeAnswer = stage.put("/policies/proof", policy).await.unwrap();
    let release = stage.healthy_in_dev("web", 1).await;
    refused(
        stage.promote("web", "a").await,
        3,
        "check `smoke` has no verdict",
    );
    let passed = verdict(&release, "smoke", true);
    stage
        .report(&release, Phase::Healthy, |outcome| {
            outcome.verdicts = vec![passed.clone()];
        })
        .await;
    // Nothing was decided since, and who looks sees it all the same.
    let details: Vec<ReleaseDetail> = stage.get("/describe/release/dev/web").await;
    assert_eq!(details[0].verdicts, std::slice::from_ref(&passed));
    let explained = explain(&stage).await;
    let term = explained.terms.iter().find(|term| term.name == "verdict");
    assert!(term.is_some_and(|term| term.holds), "{explained:?}");
    let asked = stage.promote("web", "b").await.unwrap();
    assert!(
        matches!(asked, ReleaseAnswer::Requested { .. }),
        "{asked:?}"
    );
    let failed = verdict(&release, "smoke", false);
    stage
        .report(&release, Phase::Healthy, |outcome| {
            outcome.verdicts = vec![failed];
        })
        .await;
    let asked = stage.promote("web", "c").await;
    refused(asked, 3, "check `smoke` failed in `dev`");
}
