//! What is left behind: history, differences, the audit trail, and the end of a service.

use foreshore_model::Phase;
use foreshore_model::api::{AuditEntry, Difference, Problem, ReleaseDetail, RetireAnswer};
use reqwest::Method;
use serde_json::json;

use crate::stage::{Stage, refused};

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_one_entry_with_who_and_why() {
    let stage = Stage::new().await;
    stage.healthy_in_dev("web", 1).await;
    stage.in_dev("web", 2).await;
    let pause =
        json!({"change": {"kind": "pause"}, "reason": "maintenance", "idempotency_key": "p"});
    let _paused: serde_json::Value = stage.post("/operations/dev/web", pause).await.unwrap();
    let entries: Vec<AuditEntry> = stage.get("/audit?environment=dev&service=web").await;
    let subjects: Vec<&str> = entries.iter().map(|entry| entry.subject.as_str()).collect();
    assert_eq!(subjects.len(), 3, "{subjects:?}");
    assert!(
        subjects[0].starts_with("[dev/web] pause by owner"),
        "{subjects:?}"
    );
    assert!(
        subjects[2].starts_with("[dev/web] auto-release main-"),
        "{subjects:?}"
    );
    assert!(entries.iter().all(|entry| entry.by_writer));
    let reason = |entry: &AuditEntry| {
        entry
            .trailers
            .contains(&("Reason".to_owned(), "maintenance".to_owned()))
    };
    assert!(reason(&entries[0]), "{:?}", entries[0]);
    let all: Vec<AuditEntry> = stage.get("/audit").await;
    assert_eq!(all.len(), 4, "and the first commit: {all:?}");
    let commits = stage.git(&["rev-list", "--count", "main"]);
    assert_eq!(commits.trim(), "4", "the trail is all there is");
}

#[tokio::test(flavor = "multi_thread")]
async fn releases_are_described_and_compared_by_their_numbers() {
    let stage = Stage::new().await;
    let first = stage.healthy_in_dev("web", 1).await;
    let second = stage.in_dev("web", 2).await;
    stage.report(&second, Phase::Progressing, |_| {}).await;
    let details: Vec<ReleaseDetail> = stage.get("/describe/release/dev/web?count=5").await;
    assert_eq!(details.len(), 2);
    assert_eq!(details[0].release, second);
    assert_eq!(details[0].outcomes[0].phase, Phase::Progressing);
    assert_eq!(details[1].release, first);
    let difference: Difference = stage.get("/diff/dev/web?from=1&to=2").await;
    assert_eq!(difference.files.len(), 1);
    assert!(difference.files[0].text.contains("+          image: app:2"));
    let same: Difference = stage.get("/diff/dev/web?from=2").await;
    assert!(same.is_empty());
    let unknown: Result<Difference, Problem> = stage
        .ask("owner", Method::GET, "/diff/dev/web?from=7", json!({}))
        .await;
    refused(unknown, 6, "no release number 7");
    let none: Result<Vec<ReleaseDetail>, Problem> = stage
        .ask(
            "owner",
            Method::GET,
            "/describe/release/dev/web?count=0",
            json!({}),
        )
        .await;
    refused(none, 2, "1 to 100");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retired_service_leaves_a_tombstone_and_its_numbers_go_on() {
    let stage = Stage::new().await;
    stage.healthy_in_dev("web", 1).await;
    let request = |dry_run: bool| json!({"reason": "replaced by shop", "idempotency_key": "end", "dry_run": dry_run});
    let planned: RetireAnswer = stage.post("/retire/dev/web", request(true)).await.unwrap();
    assert_eq!(
        (planned.commit, planned.objects),
        (None, vec!["Deployment/web".to_owned()])
    );
    assert!(stage.row("dev", "web").await.is_some());
    let done: RetireAnswer = stage.post("/retire/dev/web", request(false)).await.unwrap();
    assert_eq!(done.tombstone.sequence, 1);
    assert!(stage.row("dev", "web").await.is_none());
    let repeated: RetireAnswer = stage.post("/retire/dev/web", request(false)).await.unwrap();
    assert_eq!(repeated.commit, done.commit);
    let tree = stage.git(&["ls-tree", "-r", "--name-only", "main"]);
    assert!(tree.contains("retired/dev/web.yaml"), "{tree}");
    assert!(!tree.contains("environments/dev/web/"), "{tree}");
    let next = stage.in_dev("web", 2).await;
    assert_eq!(next.sequence, 2);
    let tree = stage.git(&["ls-tree", "-r", "--name-only", "main"]);
    assert!(!tree.contains("retired/dev/web.yaml"), "{tree}");
    let empty = json!({"reason": "", "idempotency_key": "x"});
    let answer: Result<RetireAnswer, Problem> = stage.post("/retire/dev/web", empty).await;
    refused(answer, 2, "--reason");
    let slip = json!({"reason": "x", "idempotency_key": "y"});
    let answer: Result<RetireAnswer, Problem> = stage.post("/retire/dev/webb", slip).await;
    refused(answer, 6, "did you mean `web`?");
}
