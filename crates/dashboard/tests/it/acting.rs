//! Preview, confirm, follow, undo, record: for each kind of action.

use http::Method;

use crate::stage::{Stage, token};

fn location(answer: &crate::stage::Answer) -> String {
    assert_eq!(answer.status, 303, "{}", answer.text);
    answer.headers["location"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_cordon_is_previewed_done_in_the_persons_name_and_can_be_undone() {
    let stage = Stage::new().await;
    let preview = stage.get("/act/cordon?site=local&node=node-a").await.text;
    assert!(preview.contains("No new pods are put on the node"));
    let patches = |stage: &Stage| {
        stage
            .cluster
            .asked()
            .into_iter()
            .filter(|asked| asked.path == "/api/v1/nodes/node-a")
            .collect::<Vec<_>>()
    };
    assert!(patches(&stage).is_empty(), "a preview changes nothing");
    let done = location(
        &stage
            .confirm(
                "/act/cordon?site=local&node=node-a",
                &[("reason", "new disk")],
            )
            .await,
    );
    let page = stage
        .until(&done, |page| page.contains("takes no new pods"))
        .await;
    assert!(page.contains("/act/uncordon?"), "undo is offered: {page}");
    let patches = patches(&stage);
    assert_eq!(patches.len(), 1);
    assert_eq!(patches[0].method, Method::PATCH);
    assert_eq!(patches[0].headers["impersonate-user"], "foreshore:ada");
    assert_eq!(
        patches[0].headers["impersonate-group"],
        "foreshore:operators"
    );
    let audit = stage.until("/audit", |page| page.contains("done: ")).await;
    assert!(audit.contains("new disk") && audit.contains("node node-a in local"));
    stage
        .until("/nodes", |page| page.contains(">cordoned<"))
        .await;
}

#[tokio::test]
async fn a_confirmation_that_is_sent_again_finds_its_result_and_does_nothing() {
    let stage = Stage::new().await;
    let token = token(&stage.get("/act/cordon?site=local&node=node-a").await.text);
    let first = location(&stage.post("/act", &[("token", &token)]).await);
    let again = location(&stage.post("/act", &[("token", &token)]).await);
    assert_eq!(first, again);
    stage.until(&first, |page| page.contains("Done")).await;
    assert_eq!(
        stage
            .cluster
            .asked()
            .iter()
            .filter(|asked| asked.path == "/api/v1/nodes/node-a")
            .count(),
        1
    );
}

#[tokio::test]
async fn in_production_the_name_has_to_be_typed() {
    let stage = Stage::new().await;
    let path = "/act/promote?environment=prod&service=web";
    let preview = stage.get(path).await.text;
    assert!(
        preview.contains("This is production")
            && preview.contains("<ins>+replicas: 2</ins>")
            && preview.contains("id=cancel autofocus")
    );
    let refused = stage.confirm(path, &[("typed", "something else")]).await;
    assert_eq!(refused.status, 403);
    let sent = |stage: &Stage| {
        stage
            .api
            .arrived
            .lock()
            .unwrap()
            .iter()
            .filter(|(_, body)| body["dry_run"] == false)
            .cloned()
            .collect::<Vec<_>>()
    };
    assert!(sent(&stage).is_empty());
    let done = location(
        &stage
            .confirm(path, &[("typed", "web"), ("reason", "tested")])
            .await,
    );
    stage
        .until(&done, |page| page.contains("committed dddddddddd"))
        .await;
    let sent = sent(&stage);
    assert_eq!(sent.len(), 1);
    let (who, body) = &sent[0];
    assert_eq!(
        (who.as_str(), body["reason"].as_str().unwrap()),
        ("ada", "tested")
    );
    assert!(
        body["expected"].is_string(),
        "what was seen is what is replaced"
    );
}

#[tokio::test]
async fn one_pod_more_is_a_commit_with_room_on_the_nodes_told() {
    let stage = Stage::new().await;
    let page = stage.get("/services").await.text;
    assert!(
        page.contains("replicas=2&amp;service=web") && page.contains("replicas=0&amp;service=web")
    );
    let path = "/act/scale?environment=dev&service=web&workload=web&replicas=3";
    let preview = stage.get(path).await.text;
    assert!(
        preview.contains("Room on the nodes: yes") && preview.contains("operations.yaml"),
        "{preview}"
    );
    let done = location(&stage.confirm(path, &[]).await);
    stage
        .until(&done, |page| {
            page.contains("committed eeeeeeeeee") && page.contains("pending")
        })
        .await;
}

#[tokio::test]
async fn a_restart_of_a_service_asks_the_cluster_for_a_rollout() {
    let stage = Stage::new().await;
    let done = location(
        &stage
            .confirm("/act/restart?environment=dev&service=web", &[])
            .await,
    );
    stage
        .until(&done, |page| {
            page.contains("Deployment web in local restarts")
        })
        .await;
    let asked = stage.cluster.asked();
    let patch = asked
        .iter()
        .find(|asked| asked.path == "/apis/apps/v1/namespaces/dev/deployments/web")
        .unwrap();
    assert!(
        patch
            .body
            .pointer("/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt")
            .is_some()
    );
    assert_eq!(patch.headers["impersonate-user"], "foreshore:ada");
}

#[tokio::test]
async fn a_pod_leaves_by_eviction_so_that_budgets_count() {
    let stage = Stage::new().await;
    let preview = stage
        .get("/act/restart-pod?site=local&namespace=dev&pod=web-1-a")
        .await
        .text;
    assert!(preview.contains("the only ready pod"), "{preview}");
    let done = location(
        &stage
            .confirm("/act/restart-pod?site=local&namespace=dev&pod=web-1-a", &[])
            .await,
    );
    stage
        .until(&done, |page| page.contains("was asked to leave"))
        .await;
    let asked = stage.cluster.asked();
    let eviction = asked
        .iter()
        .find(|asked| asked.path.ends_with("/pods/web-1-a/eviction"))
        .unwrap();
    assert_eq!(
        eviction.body["deleteOptions"]["preconditions"]["uid"],
        "uid-web-1-a"
    );
}

#[tokio::test]
async fn a_drain_names_what_moves_and_what_stands_in_its_way() {
    let stage = Stage::new().await;
    let preview = stage.get("/act/drain?site=local&node=node-a").await.text;
    for shown in [
        "dev/web: 1",
        "not for all of them",
        "one pod only",
        "Type <strong>node-a</strong>",
    ] {
        assert!(preview.contains(shown), "{shown} is not in {preview}");
    }
}
