//! Lists: pages, selectors, revisions, tables.

use serde_json::{Value, json};

use crate::ground::{Ground, config_map, pod};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PODS: &str = "/api/v1/namespaces/default/pods";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap().iter();
    items
        .map(|item| item["metadata"]["name"].as_str().unwrap())
        .collect()
}

async fn filled(count: usize) -> Ground {
    let ground = Ground::start().await;
    for index in 0..count {
        ground
            .post(MAPS, config_map(&format!("m{index}")))
            .await
            .expect(201);
    }
    ground
}

#[tokio::test]
async fn pages_show_one_state_whatever_happens_meanwhile() {
    let ground = filled(5).await;
    let first = ground.get(&format!("{MAPS}?limit=2")).await.expect(200);
    assert_eq!(first["kind"], "ConfigMapList");
    assert_eq!(names(&first), ["m0", "m1"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 3);
    ground
        .delete(&format!("{MAPS}/m3"), Value::Null)
        .await
        .expect(200);
    ground.post(MAPS, config_map("m25")).await.expect(201);
    let token = first["metadata"]["continue"].as_str().unwrap();
    let second = ground
        .get(&format!("{MAPS}?limit=2&continue={token}"))
        .await
        .expect(200);
    assert_eq!(names(&second), ["m2", "m3"]);
    assert_eq!(
        second["metadata"]["resourceVersion"],
        first["metadata"]["resourceVersion"]
    );
    let token = second["metadata"]["continue"].as_str().unwrap();
    let third = ground
        .get(&format!("{MAPS}?limit=2&continue={token}"))
        .await
        .expect(200);
    assert_eq!(names(&third), ["m4"]);
    assert!(third["metadata"].get("continue").is_none());
}

#[tokio::test]
async fn an_expired_token_comes_with_a_fresh_one() {
    let ground = Ground::start_with(|options| {
        let limits = foreshore_engine_store::Limits {
            snapshots: 1,
            ..Default::default()
        };
        let store = foreshore_engine_store::Options {
            limits,
            ..foreshore_engine_store::Options::memory()
        };
        options.store = foreshore_engine_store::Store::open(store).unwrap();
    })
    .await;
    for index in 0..4 {
        ground
            .post(MAPS, config_map(&format!("m{index}")))
            .await
            .expect(201);
    }
    let first = ground.get(&format!("{MAPS}?limit=2")).await.expect(200);
    for round in 0..100 {
        let patch = json!({"data": {"key": round.to_string()}});
        ground
            .patch(&format!("{MAPS}/m0"), "merge", patch)
            .await
            .expect(200);
    }
    ground.get(&format!("{MAPS}?limit=1")).await.expect(200);
    let token = first["metadata"]["continue"].as_str().unwrap();
    let expired = ground
        .get(&format!("{MAPS}?limit=2&continue={token}"))
        .await
        .expect(410);
    assert_eq!(expired["reason"], "Expired");
    let token = expired["metadata"]["continue"].as_str().unwrap();
    let rest = ground
        .get(&format!("{MAPS}?continue={token}"))
        .await
        .expect(200);
    assert_eq!(names(&rest), ["m2", "m3"]);
    ground
        .get(&format!("{MAPS}?continue=nonsense"))
        .await
        .refused(400, "BadRequest");
}

#[tokio::test]
async fn revisions_choose_the_state() {
    let ground = filled(1).await;
    let old = ground.get(MAPS).await.expect(200);
    let old_version = old["metadata"]["resourceVersion"].as_str().unwrap();
    ground.post(MAPS, config_map("new")).await.expect(201);
    for query in [
        "",
        "?resourceVersion=0",
        &format!("?resourceVersion={old_version}"),
    ] {
        let list = ground.get(&format!("{MAPS}{query}")).await.expect(200);
        assert_eq!(names(&list), ["m0", "new"], "{query}");
    }
    let exact = format!("{MAPS}?resourceVersion={old_version}&resourceVersionMatch=Exact");
    assert_eq!(names(&ground.get(&exact).await.expect(200)), ["m0"]);
    for (query, code) in [
        ("resourceVersion=x", 400),
        ("resourceVersionMatch=Exact", 422),
        ("resourceVersion=0&resourceVersionMatch=Exact", 422),
        ("resourceVersion=1&resourceVersionMatch=Other", 422),
        ("sendInitialEvents=true", 422),
        ("limit=x", 400),
    ] {
        let answer = ground.get(&format!("{MAPS}?{query}")).await;
        assert_eq!(answer.status.as_u16(), code, "{query}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_version_from_the_future_is_waited_for_and_then_refused() {
    let ground = filled(1).await;
    let future = ground.server.store().revision() + 1;
    let path = format!("{MAPS}?resourceVersion={future}");
    let (list, _) = tokio::join!(ground.get(&path), async {
        tokio::task::yield_now().await;
        ground.post(MAPS, config_map("late")).await.expect(201)
    });
    assert_eq!(names(&list.expect(200)), ["late", "m0"]);
    let refused = ground
        .get(&format!("{MAPS}?resourceVersion={}", future + 1000))
        .await;
    assert_eq!(refused.headers["retry-after"], "1");
    let refused = refused.expect(504);
    assert_eq!(
        refused["details"]["causes"][0]["reason"],
        "ResourceVersionTooLarge"
    );
}

#[tokio::test]
async fn selectors_pick_by_label_and_field() {
    let ground = Ground::start().await;
    for name in ["a", "b"] {
        ground.post(PODS, pod(name)).await.expect(201);
    }
    let binding = json!({"metadata": {"name": "a"}, "target": {"name": "n1"}});
    ground
        .post(&format!("{PODS}/a/binding"), binding)
        .await
        .expect(201);
    for (query, expected) in [
        ("labelSelector=app%3Da", &["a"][..]),
        ("labelSelector=app%20in%20(a,b)", &["a", "b"]),
        ("labelSelector=app%2Capp!%3Da", &["b"]),
        ("fieldSelector=spec.nodeName%3Dn1", &["a"]),
        ("fieldSelector=spec.nodeName%3D", &["b"]),
        (
            "fieldSelector=status.phase%3DPending%2Cmetadata.name%3Db",
            &["b"],
        ),
        ("fieldSelector=metadata.namespace%3Dother", &[]),
    ] {
        let list = ground
            .get(&format!("/api/v1/pods?{query}"))
            .await
            .expect(200);
        assert_eq!(names(&list), expected, "{query}");
    }
    ground
        .get(&format!("{PODS}?fieldSelector=spec.wrong%3Dx"))
        .await
        .refused(400, "BadRequest");
    ground
        .get(&format!("{PODS}?labelSelector=("))
        .await
        .refused(400, "BadRequest");
}

#[tokio::test]
async fn items_do_not_repeat_kind_and_version() {
    let ground = filled(1).await;
    let list = ground.get(MAPS).await.expect(200);
    let item = list["items"][0].as_object().unwrap();
    assert!(
        !item.contains_key("kind") && !item.contains_key("apiVersion"),
        "{item:?}"
    );
    let empty = ground
        .get("/api/v1/namespaces/kube-system/configmaps")
        .await
        .expect(200);
    assert_eq!(empty["items"], json!([]));
}

#[tokio::test]
async fn tables_and_metadata_are_given_to_those_who_ask() {
    let ground = Ground::start().await;
    ground.post(PODS, pod("a")).await.expect(201);
    let table = ground.get_as(PODS, TABLE).await.expect(200);
    assert_eq!(
        (&table["kind"], &table["apiVersion"]),
        (&json!("Table"), &json!("meta.k8s.io/v1"))
    );
    assert_eq!(table["columnDefinitions"][0]["name"], "Name");
    assert_eq!(table["rows"][0]["cells"][0], "a");
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let table = ground
        .get_as(&format!("{PODS}/a?includeObject=Object"), TABLE)
        .await
        .expect(200);
    assert_eq!(
        table["rows"][0]["object"]["spec"]["containers"][0]["name"],
        "main"
    );
    let accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let list = ground.get_as(PODS, accept).await.expect(200);
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert!(list["items"][0].get("spec").is_none());
    let accept = "application/vnd.kubernetes.protobuf";
    ground
        .get_as(PODS, accept)
        .await
        .refused(406, "NotAcceptable");
    let yaml = ground.get_as(PODS, "application/yaml").await;
    assert!(yaml.text.contains("kind: PodList"), "{}", yaml.text);
}

#[tokio::test]
async fn a_long_list_arrives_whole() {
    let ground = Ground::start().await;
    for index in 0..300 {
        let mut map = config_map(&format!("m{index:03}"));
        map["data"]["key"] = "x".repeat(1000).into();
        ground.post(MAPS, map).await.expect(201);
    }
    let list = ground.get(MAPS).await.expect(200);
    assert_eq!(names(&list).len(), 300);
}
