//! Every page answers, is complete without scripts, and keeps itself up to date.

use serde_json::json;

use crate::cluster::Cluster;
use crate::server::release;
use crate::stage::{Stage, pod};

const PAGES: [&str; 15] = [
    "/",
    "/services",
    "/services/web",
    "/releases",
    "/releases/dev/web",
    "/pods",
    "/pods/local/dev/web-1-a",
    "/nodes",
    "/events",
    "/checks",
    "/loads",
    "/logs?service=web",
    "/audit",
    "/search?q=web",
    "/help",
];

#[tokio::test]
async fn a_pod_that_is_on_no_node_yet_has_no_empty_link() {
    let stage = Stage::new().await;
    let mut waiting = pod("late-1-a", "dev", false);
    waiting["spec"].as_object_mut().unwrap().remove("nodeName");
    stage.cluster.put("/api/v1/pods", waiting);
    for path in ["/pods?q=late", "/pods/local/dev/late-1-a"] {
        let page = stage.until(path, |page| page.contains("none yet")).await;
        assert!(!page.contains("\"></a>"), "{path}: {page}");
    }
}

#[tokio::test]
async fn what_pods_and_nodes_take_is_shown_where_it_is_measured() {
    let stage = Stage::new().await;
    for path in ["/pods", "/nodes", "/pods/local/dev/web-1-a"] {
        let page = stage.get(path).await.text;
        assert!(
            page.contains(">N/A<") || page.contains(">N/A of "),
            "{path}: {page}"
        );
        assert!(!page.contains("CPU taken") && !page.contains("aria-label=\"CPU used\""));
    }
    let measured = Cluster::new();
    let metrics = "/apis/metrics.k8s.io/v1beta1";
    measured.put(
        &format!("{metrics}/nodes"),
        json!({"metadata": {"name": "node-b"}, "usage": {"cpu": "1", "memory": "2Gi"}}),
    );
    let containers = json!([
        {"usage": {"cpu": "100m", "memory": "32Mi"}}, {"usage": {"cpu": "50000000n", "memory": "16Mi"}},
    ]);
    measured.put(
        &format!("{metrics}/pods"),
        json!({"metadata": {"name": "web-2-a", "namespace": "dev"}, "containers": containers}),
    );
    let mut taker = pod("web-2-a", "dev", true);
    taker["spec"]["containers"][0]["resources"] =
        json!({"requests": {"cpu": "500m", "memory": "24Mi"}, "limits": {"memory": "96Mi"}});
    measured.put("/api/v1/pods", taker);
    measured.put(
        "/api/v1/nodes",
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-b"}, "spec": {},
        "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"}}}),
    );
    let site = "dc2".parse().unwrap();
    stage.dashboard.watch(site, measured.client());
    let page = stage
        .until("/pods", |page| page.contains("150m of 500m"))
        .await;
    assert!(
        page.contains("48Mi of 96Mi"),
        "against the limit where there is one: {page}"
    );
    assert!(
        page.contains(">N/A<"),
        "the pod that nobody measured stays without: {page}"
    );
    let page = stage.until("/nodes", |page| page.contains("1 of 4")).await;
    assert!(page.contains("2.0Gi of 8.0Gi"), "{page}");
}

#[tokio::test]
async fn every_page_answers_and_its_links_lead_somewhere() {
    let stage = Stage::new().await;
    let mut links = std::collections::BTreeSet::new();
    for path in PAGES {
        let answer = stage.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        for part in answer.text.split("href=\"").skip(1) {
            links.insert(part.split('"').next().unwrap().replace("&amp;", "&"));
        }
    }
    links.remove("#main");
    for link in links {
        assert!(stage.get(&link).await.status.is_success(), "{link}");
    }
}

#[tokio::test]
async fn the_pods_page_shows_what_people_need_without_scripts() {
    let stage = Stage::new().await;
    let page = stage.get("/pods").await.text;
    for shown in [
        "web-1-a",
        ">OK</span>",
        "1/1",
        "10.0.0.1",
        "node-a",
        "GET /health on port 8080",
        "/act/restart-pod?namespace=dev",
    ] {
        assert!(page.contains(shown), "{shown} is not in {page}");
    }
    assert!(page.contains("<form class=filter method=get"));
}

#[tokio::test]
async fn the_address_holds_the_state_of_a_page() {
    let stage = Stage::new().await;
    stage
        .cluster
        .put("/api/v1/pods", pod("api-1-a", "dev", false));
    stage.until("/pods", |page| page.contains("api-1-a")).await;
    let filtered = stage.get("/pods?q=api").await.text;
    assert!(filtered.contains("api-1-a") && !filtered.contains("data-key=\"local/dev/web-1-a\""));
    let failing_first = stage.get("/pods").await.text;
    assert!(
        failing_first.find("api-1-a") < failing_first.find("web-1-a"),
        "problems come first"
    );
    let sorted = stage.get("/pods?sort=-name&size=1").await.text;
    assert!(
        sorted.contains("data-key=\"local/dev/web-1-a\"")
            && !sorted.contains("data-key=\"local/dev/api-1-a\"")
    );
    assert!(sorted.contains("page=2"));
    assert!(
        stage
            .get("/pods?q=nothing-like-it")
            .await
            .text
            .contains("Nothing matches the filter.")
    );
}

#[tokio::test]
async fn a_change_in_the_cluster_reaches_an_open_page() {
    let stage = Stage::new().await;
    let mut events = stage.stream("/live/pods").await;
    events.until(|event| event.contains("web-1-a")).await;
    stage
        .cluster
        .put("/api/v1/pods", pod("web-1-b", "dev", true));
    events.until(|event| event.contains("web-1-b")).await;
}

#[tokio::test]
async fn a_release_reaches_an_open_page() {
    let stage = Stage::new().await;
    let mut events = stage.stream("/live/releases").await;
    events
        .until(|event| event.contains("main-0123456789-0000000002"))
        .await;
    stage.api.set(&[
        release("web", "dev", 3, "next"),
        release("web", "prod", 1, ""),
    ]);
    events
        .until(|event| event.contains("main-0123456789-0000000003"))
        .await;
}

#[tokio::test]
async fn events_are_folded_into_one_line_per_cause() {
    let stage = Stage::new().await;
    let now = foreshore_model::clock::now();
    for number in 0..5 {
        let event = serde_json::json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": format!("e{number}"), "namespace": "dev", "uid": format!("e{number}")},
            "involvedObject": {"kind": "Pod", "name": "web-1-a"}, "type": "Warning", "reason": "BackOff", "count": 2,
            "message": format!("back-off {number}s restarting"), "firstTimestamp": now.to_string(), "lastTimestamp": now.to_string(),
        });
        stage.cluster.put("/api/v1/events", event);
    }
    let page = stage.until("/events", |page| page.contains(">10<")).await;
    assert_eq!(page.matches("data-key=").count(), 1);
    assert!(page.contains("Pod web"));
}

#[tokio::test]
async fn logs_of_a_service_are_merged_and_harmless() {
    let stage = Stage::new().await;
    let page = stage.get("/logs?service=web").await.text;
    assert!(
        page.contains("first line")
            && page.contains("&lt;script&gt;")
            && !page.contains("<script>alert")
    );
    let filtered = stage.get("/logs?service=web&q=error").await.text;
    assert!(!filtered.contains("first line") && filtered.contains("error:"));
}

#[tokio::test]
async fn the_palette_finds_things_and_names_the_risk_of_actions() {
    let stage = Stage::new().await;
    let answer = stage.get("/search.json?q=web").await;
    let hits: Vec<serde_json::Value> = serde_json::from_str(&answer.text).unwrap();
    for (kind, risk) in [("service", ""), ("pod", ""), ("action", "changes")] {
        assert!(
            hits.iter()
                .any(|hit| hit["kind"] == kind && hit["risk"] == risk),
            "{kind} in {hits:?}"
        );
    }
}

#[tokio::test]
async fn a_page_of_something_unknown_says_so() {
    let stage = Stage::new().await;
    for path in [
        "/services/nobody",
        "/pods/local/dev/nobody",
        "/done/none",
        "/live/nothing",
        "/releases/..%2F/x",
    ] {
        assert_eq!(stage.get(path).await.status, 404, "{path}");
    }
}
