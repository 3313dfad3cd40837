//! Watches: order, selectors, bookmarks, expiry.

use foreshore_engine_api::{ResponseBody, UserInfo};
use http::Request;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use std::time::Duration;

use crate::ground::{Ground, config_map, pod};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const LIMIT: Duration = Duration::from_secs(20);

/// Reads one event after the other.
struct Events {
    body: ResponseBody,
    buffer: Vec<u8>,
}

impl Events {
    async fn open(ground: &Ground, path: &str, accept: &str) -> Self {
        let request = Request::get(path)
            .header("accept", accept)
            .body(Full::default())
            .unwrap();
        let response = ground.send(&UserInfo::admin(), request).await;
        assert_eq!(response.status(), 200);
        Self {
            body: response.into_body(),
            buffer: vec![],
        }
    }

    /// The next event; `None` when the watch has ended.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = tokio::time::timeout(LIMIT, self.body.frame())
                .await
                .expect("in time")?;
            self.buffer.extend(frame.unwrap().into_data().unwrap());
        }
    }

    /// The next event as type and name.
    async fn short(&mut self) -> (String, String) {
        let event = self.next().await.expect("open");
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (
            word(&event["type"]),
            word(&event["object"]["metadata"]["name"]),
        )
    }
}

fn pair(kind: &str, name: &str) -> (String, String) {
    (kind.to_owned(), name.to_owned())
}

#[tokio::test]
async fn a_watch_tells_what_is_there_and_then_every_change() {
    let ground = Ground::start().await;
    ground.post(MAPS, config_map("a")).await.expect(201);
    let mut events = Events::open(&ground, &format!("{MAPS}?watch=true"), "").await;
    assert_eq!(events.short().await, pair("ADDED", "a"));
    ground.post(MAPS, config_map("b")).await.expect(201);
    let patch = json!({"data": {"key": "x"}});
    ground
        .patch(&format!("{MAPS}/a"), "merge", patch)
        .await
        .expect(200);
    ground
        .delete(&format!("{MAPS}/b"), Value::Null)
        .await
        .expect(200);
    assert_eq!(events.short().await, pair("ADDED", "b"));
    assert_eq!(events.short().await, pair("MODIFIED", "a"));
    let gone = events.next().await.unwrap();
    assert_eq!(gone["type"], "DELETED");
    let newest = ground.server.store().revision().to_string();
    assert_eq!(
        gone["object"]["metadata"]["resourceVersion"],
        newest.as_str()
    );
}

#[tokio::test]
async fn a_watch_goes_on_from_a_list() {
    let ground = Ground::start().await;
    ground.post(MAPS, config_map("a")).await.expect(201);
    let list = ground.get(MAPS).await.expect(200);
    let version = list["metadata"]["resourceVersion"].as_str().unwrap();
    ground.post(MAPS, config_map("b")).await.expect(201);
    let path = format!("{MAPS}?watch=1&resourceVersion={version}");
    let mut events = Events::open(&ground, &path, "").await;
    assert_eq!(events.short().await, pair("ADDED", "b"));
}

#[tokio::test]
async fn what_leaves_a_selection_is_deleted_for_its_watcher() {
    let ground = Ground::start().await;
    let path = "/api/v1/namespaces/default/pods";
    let watch = format!("{path}?watch=true&labelSelector=app%3Da");
    let mut events = Events::open(&ground, &watch, "").await;
    ground.post(path, pod("a")).await.expect(201);
    ground.post(path, pod("b")).await.expect(201);
    assert_eq!(events.short().await, pair("ADDED", "a"));
    let label = |value: &str| json!({"metadata": {"labels": {"app": value}}});
    ground
        .patch(&format!("{path}/a"), "merge", label("z"))
        .await
        .expect(200);
    let left = events.next().await.unwrap();
    assert_eq!(
        (&left["type"], &left["object"]["metadata"]["labels"]["app"]),
        (&json!("DELETED"), &json!("a"))
    );
    let newest = ground.server.store().revision().to_string();
    assert_eq!(
        left["object"]["metadata"]["resourceVersion"],
        newest.as_str()
    );
    ground
        .patch(&format!("{path}/b"), "merge", label("a"))
        .await
        .expect(200);
    assert_eq!(events.short().await, pair("ADDED", "b"));
}

#[tokio::test]
async fn streamed_lists_end_with_a_marked_bookmark() {
    let ground = Ground::start().await;
    ground.post(MAPS, config_map("a")).await.expect(201);
    let query =
        "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut events = Events::open(&ground, &format!("{MAPS}?{query}"), "").await;
    assert_eq!(events.short().await, pair("ADDED", "a"));
    let mark = events.next().await.unwrap();
    assert_eq!(mark["type"], "BOOKMARK");
    assert_eq!(mark["object"]["kind"], "ConfigMap");
    assert_eq!(
        mark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"],
        "true"
    );
    let newest = ground.server.store().revision().to_string();
    assert_eq!(
        mark["object"]["metadata"]["resourceVersion"],
        newest.as_str()
    );
    ground
        .get(&format!("{MAPS}?watch=1&sendInitialEvents=true"))
        .await
        .refused(422, "Invalid");
    ground
        .get(&format!("{MAPS}?watch=1&resourceVersionMatch=NotOlderThan"))
        .await
        .refused(422, "Invalid");
}

#[tokio::test]
async fn a_bookmark_tells_progress_before_the_watch_ends() {
    let ground = Ground::start().await;
    let version = ground.server.store().revision();
    let query =
        format!("watch=1&resourceVersion={version}&allowWatchBookmarks=true&timeoutSeconds=3");
    let mut events = Events::open(&ground, &format!("{MAPS}?{query}"), "").await;
    let other = "/api/v1/namespaces/kube-system/configmaps";
    ground.post(other, config_map("a")).await.expect(201);
    let event = events.next().await.unwrap();
    assert_eq!(event["type"], "BOOKMARK");
    let newest = ground.server.store().revision().to_string();
    assert_eq!(
        event["object"]["metadata"]["resourceVersion"],
        newest.as_str()
    );
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn a_start_that_is_forgotten_is_told_as_an_event() {
    let ground = Ground::start_with(|options| {
        let limits = foreshore_engine_store::Limits {
            history_events: 4,
            ..Default::default()
        };
        let store = foreshore_engine_store::Options {
            limits,
            ..foreshore_engine_store::Options::memory()
        };
        options.store = foreshore_engine_store::Store::open(store).unwrap();
    })
    .await;
    for index in 0..10 {
        ground
            .post(MAPS, config_map(&format!("m{index}")))
            .await
            .expect(201);
    }
    let mut events = Events::open(&ground, &format!("{MAPS}?watch=1&resourceVersion=1"), "").await;
    let error = events.next().await.unwrap();
    assert_eq!(
        (&error["type"], &error["object"]["code"]),
        (&json!("ERROR"), &json!(410))
    );
    assert_eq!(error["object"]["reason"], "Expired");
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn tables_in_a_watch_name_their_columns_once() {
    let ground = Ground::start().await;
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let mut events = Events::open(&ground, &format!("{MAPS}?watch=1"), accept).await;
    for name in ["a", "b"] {
        ground.post(MAPS, config_map(name)).await.expect(201);
    }
    let first = events.next().await.unwrap();
    assert_eq!(first["object"]["kind"], "Table");
    assert_eq!(first["object"]["columnDefinitions"][0]["name"], "Name");
    let second = events.next().await.unwrap();
    assert_eq!(second["object"]["rows"][0]["cells"][0], "b");
    assert_eq!(second["object"]["columnDefinitions"], json!([]));
}

#[tokio::test]
async fn both_event_groups_show_the_same_events() {
    let ground = Ground::start().await;
    let mut events = Events::open(&ground, "/apis/events.k8s.io/v1/events?watch=1", "").await;
    let event = json!({
        "metadata": {"name": "e1"}, "reason": "Tested", "message": "hello", "type": "Normal",
        "involvedObject": {"kind": "Pod", "name": "a", "namespace": "default"},
    });
    ground
        .post("/api/v1/namespaces/default/events", event)
        .await
        .expect(201);
    let seen = events.next().await.unwrap();
    assert_eq!(seen["object"]["apiVersion"], "events.k8s.io/v1");
    assert_eq!(
        (
            &seen["object"]["note"],
            &seen["object"]["regarding"]["name"]
        ),
        (&json!("hello"), &json!("a"))
    );
    let query = "fieldSelector=involvedObject.name%3Da%2CinvolvedObject.kind%3DPod";
    let list = ground
        .get(&format!("/api/v1/events?{query}"))
        .await
        .expect(200);
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    ground.pass(jiff::SignedDuration::from_mins(61));
    assert_eq!(ground.server.sweep_events().await, 1);
    assert_eq!(events.next().await.unwrap()["type"], "DELETED");
}

#[tokio::test]
async fn a_kube_client_lists_and_watches_in_process() {
    use futures::TryStreamExt;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::runtime::{WatchStreamExt, watcher};
    let ground = Ground::start().await;
    let client = ground.server.client(UserInfo::admin());
    let maps: kube::Api<ConfigMap> = kube::Api::namespaced(client, "default");
    let config = watcher::Config::default().streaming_lists();
    let mut stream = std::pin::pin!(watcher(maps.clone(), config).applied_objects());
    let map = ConfigMap {
        metadata: kube::api::ObjectMeta {
            name: Some("a".into()),
            ..Default::default()
        },
        ..Default::default()
    };
    maps.create(&kube::api::PostParams::default(), &map)
        .await
        .unwrap();
    let seen = stream.try_next().await.unwrap().unwrap();
    assert_eq!(seen.metadata.name.as_deref(), Some("a"));
    let error = maps.get("missing").await.unwrap_err();
    assert!(matches!(error, kube::Error::Api(status) if status.code == 404));
    let list = maps
        .list_metadata(&kube::api::ListParams::default())
        .await
        .unwrap();
    assert_eq!(list.items.len(), 1);
}
