//! When a cluster is gone: what is shown stays, and says how old it is.

use crate::cluster::Cluster;
use crate::stage::{Stage, pod};

#[tokio::test]
async fn the_page_says_since_when_its_data_is_old() {
    let stage = Stage::new().await;
    stage.cluster.set_down(true);
    let page = stage
        .until("/pods", |page| page.contains("local: data is"))
        .await;
    assert!(
        page.contains("no answer since") && page.contains("web-1-a"),
        "the last rows stay: {page}"
    );
    assert!(stage.get("/").await.text.contains("cluster gone"));
    stage.cluster.set_down(false);
    stage
        .until("/pods", |page| page.contains("local: live"))
        .await;
}

#[tokio::test]
async fn one_cluster_of_two_goes_and_the_other_stays_live() {
    let stage = Stage::new().await;
    let other = Cluster::new();
    other.put("/api/v1/pods", pod("far-1-a", "dev", true));
    stage
        .dashboard
        .watch("dc2".parse().unwrap(), other.client());
    stage
        .until("/pods", |page| {
            page.contains("far-1-a") && page.contains("dc2: live")
        })
        .await;
    stage.cluster.set_down(true);
    let page = stage
        .until("/pods", |page| page.contains("local: data is"))
        .await;
    assert!(page.contains("dc2: live") && page.contains("far-1-a") && page.contains("web-1-a"));
    other.put("/api/v1/pods", pod("far-1-b", "dev", true));
    stage
        .until("/pods?site=dc2", |page| page.contains("far-1-b"))
        .await;
}
