//! Paths, retries, classes of errors, and what is asked how often.

use std::time::{Duration, Instant};

use foreshore_cluster::{
    ApplyMode, CallError, Deleted, Entry, Inventory, InventoryError, Reference,
};
use serde_json::{Value, json};

use crate::server::cluster;

fn web() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "dev"}})
}

fn status(message: &str) -> Value {
    json!({"kind": "Status", "message": message})
}

#[tokio::test]
async fn apply_names_manager_force_and_strict_validation() {
    let (cluster, record) = cluster(|_, _| {
        (
            201,
            None,
            json!({"metadata": {"uid": "u", "resourceVersion": "7", "managedFields": []}}),
        )
    });
    let applied = cluster.apply(&web(), ApplyMode::Force).await.unwrap();
    assert!(applied.created);
    assert_eq!((applied.uid(), applied.resource_version()), ("u", "7"));
    assert_eq!(applied.object["metadata"].get("managedFields"), None);
    cluster.apply(&web(), ApplyMode::DryRun).await.unwrap();
    let path = "/apis/apps/v1/namespaces/dev/deployments/web?fieldManager=foreshore&fieldValidation=Strict&force=true";
    let expected = [
        "GET /apis/apps/v1".to_owned(),
        format!("PATCH {path}"),
        format!("PATCH {path}&dryRun=All"),
    ];
    assert_eq!(record.lines(), expected, "discovery is asked once");
    assert_eq!(record.last().body, web());
}

#[tokio::test]
async fn transient_failures_are_tried_again_and_others_are_not() {
    let (api, record) = cluster(|_, before| match before {
        0..=2 => (503, None, status("starting")),
        _ => (200, None, json!({"metadata": {"uid": "u"}})),
    });
    let pod = Reference::new("v1", "Pod", "dev", "p");
    assert!(api.get(&pod).await.unwrap().is_some());
    assert_eq!(
        record.lines().len(),
        4,
        "discovery, two refusals, the answer"
    );

    let (api, record) = cluster(|_, _| (403, None, status("no")));
    assert!(matches!(
        api.get(&pod).await,
        Err(CallError::Forbidden { .. })
    ));
    assert_eq!(record.lines().len(), 2);
}

#[tokio::test]
async fn the_time_the_server_names_is_waited() {
    let (api, _) = cluster(|_, before| {
        if before < 2 {
            (429, Some("1"), status("busy"))
        } else {
            (200, None, json!({}))
        }
    });
    let start = Instant::now();
    api.get(&Reference::new("v1", "Pod", "dev", "p"))
        .await
        .unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_longer_wait_than_there_is_time_ends_the_call_as_told() {
    let (api, _) = cluster(|_, _| (429, Some("60"), status("busy")));
    let error = api
        .get(&Reference::new("v1", "Pod", "dev", "p"))
        .await
        .unwrap_err();
    assert!(
        matches!(error, CallError::TooManyRequests { retry_after: Some(wait), .. } if wait.as_secs() == 60)
    );
}

#[tokio::test]
async fn an_unknown_kind_is_named_and_asked_for_once() {
    let (api, record) = cluster(|_, _| (404, None, status("404 page not found")));
    for _ in 0..3 {
        let widget = json!({"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "x", "namespace": "dev"}});
        let error = api.apply(&widget, ApplyMode::Force).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the cluster does not know kind `Widget` of `example.org/v1`"
        );
        assert!(!error.is_transient());
    }
    assert_eq!(record.lines(), ["GET /apis/example.org/v1"]);
}

#[tokio::test]
async fn absent_is_not_the_same_as_an_error() {
    let pod = Reference::new("v1", "Pod", "dev", "p");
    let (api, _) = cluster(|_, _| (404, None, status("not found")));
    assert_eq!(api.get(&pod).await.unwrap(), None);
    assert_eq!(api.delete(&pod, Some("u")).await.unwrap(), Deleted::Absent);
    let (api, _) = cluster(|line, _| {
        if line.contains("continue=next") {
            (500, None, status("disk"))
        } else {
            (
                200,
                None,
                json!({"items": [{"metadata": {"name": "a"}}], "metadata": {"continue": "next"}}),
            )
        }
    });
    let fast = tokio::time::timeout(Duration::from_secs(20), api.list("v1", "Pod", "dev", "a=b"))
        .await
        .unwrap();
    assert!(
        matches!(fast, Err(CallError::Server { code: 500, .. })),
        "half a list is no list"
    );
    let (api, _) = cluster(|_, _| (200, None, json!({"kind": "Status"})));
    assert!(matches!(
        api.list("v1", "Pod", "dev", "").await,
        Err(CallError::Unreadable { .. })
    ));
}

#[tokio::test]
async fn an_object_is_deleted_only_while_it_is_the_one_meant() {
    let (api, record) = cluster(|_, _| (409, None, status("uid")));
    let web = Reference::of(&web()).unwrap();
    assert_eq!(
        api.delete(&web, Some("old")).await.unwrap(),
        Deleted::OtherUid
    );
    assert_eq!(record.last().body["preconditions"], json!({"uid": "old"}));
}

#[tokio::test]
async fn lists_follow_pages_and_fill_in_the_kind() {
    let (api, _) = cluster(|line, _| {
        if line.contains("continue=next") {
            (
                200,
                None,
                json!({"items": [{"metadata": {"name": "b"}}], "metadata": {}}),
            )
        } else {
            (
                200,
                None,
                json!({"items": [{"metadata": {"name": "a"}}], "metadata": {"continue": "next"}}),
            )
        }
    });
    let pods = api.list("v1", "Pod", "dev", "").await.unwrap();
    let names: Vec<_> = pods
        .iter()
        .map(|pod| (pod["kind"].clone(), pod["metadata"]["name"].clone()))
        .collect();
    assert_eq!(
        names,
        [(json!("Pod"), json!("a")), (json!("Pod"), json!("b"))]
    );
}

#[tokio::test]
async fn an_inventory_survives_the_round_trip_and_a_broken_one_is_an_error() {
    let mut inventory = Inventory::empty("dev".parse().unwrap(), "web".parse().unwrap());
    inventory.sequence = 3;
    inventory
        .entries
        .push(Entry::new(Reference::of(&web()).unwrap()));
    let (api, record) = cluster(|_, _| (200, None, json!({})));
    api.save_inventory("dev", &inventory).await.unwrap();
    let saved = record.last().body;
    assert_eq!(saved["metadata"]["name"], "foreshore-inventory.dev.web");
    let (api, _) = cluster(move |_, _| (200, None, json!({"items": [saved]})));
    assert_eq!(
        api.inventories("dev", &"dev".parse().unwrap())
            .await
            .unwrap(),
        [inventory]
    );
    let (api, _) = cluster(|_, _| {
        (
            200,
            None,
            json!({"items": [{"data": {"inventory.json": "{"}}]}),
        )
    });
    let broken = api.inventories("dev", &"dev".parse().unwrap()).await;
    assert!(matches!(broken, Err(InventoryError::Unreadable { .. })));
}
