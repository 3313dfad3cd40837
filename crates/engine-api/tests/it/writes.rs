//! Creating, replacing, patching, applying, deleting.

use serde_json::{Value, json};

use crate::ground::{Ground, config_map, deployment};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

#[tokio::test]
async fn a_created_object_gets_identity_and_owners() {
    let ground = Ground::start().await;
    let made = ground.post(MAPS, config_map("a")).await.expect(201);
    assert_eq!(made["kind"], "ConfigMap");
    let metadata = &made["metadata"];
    assert_eq!(metadata["namespace"], "default");
    assert_eq!(metadata["uid"].as_str().unwrap().len(), 36);
    assert!(
        metadata["resourceVersion"]
            .as_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
            > 0
    );
    assert_eq!(metadata["managedFields"][0]["manager"], "tester");
    assert_eq!(metadata["managedFields"][0]["operation"], "Update");
    let read = ground.get(&format!("{MAPS}/a")).await.expect(200);
    assert_eq!(read, made);
}

#[tokio::test]
async fn names_are_made_when_only_a_prefix_is_given() {
    let ground = Ground::start().await;
    let made = ground
        .post(MAPS, json!({"metadata": {"generateName": "run-"}}))
        .await
        .expect(201);
    let name = made["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("run-") && name.len() == 9, "{name}");
    let message = ground
        .post(MAPS, json!({"metadata": {}}))
        .await
        .refused(422, "Invalid");
    assert!(
        message.contains("name or generateName is required"),
        "{message}"
    );
}

#[tokio::test]
async fn taken_names_and_missing_namespaces_are_refused() {
    let ground = Ground::start().await;
    ground.post(MAPS, config_map("a")).await.expect(201);
    let message = ground
        .post(MAPS, config_map("a"))
        .await
        .refused(409, "AlreadyExists");
    assert_eq!(message, "configmaps \"a\" already exists");
    let message = ground
        .post("/api/v1/namespaces/nowhere/configmaps", config_map("a"))
        .await
        .refused(404, "NotFound");
    assert_eq!(message, "namespaces \"nowhere\" not found");
    let message = ground
        .get(&format!("{MAPS}/b"))
        .await
        .refused(404, "NotFound");
    assert_eq!(message, "configmaps \"b\" not found");
}

#[tokio::test]
async fn a_replacement_must_name_the_version_it_saw() {
    let ground = Ground::start().await;
    let first = ground.post(MAPS, config_map("a")).await.expect(201);
    let mut second = first.clone();
    second["data"]["key"] = "two".into();
    let path = format!("{MAPS}/a");
    let stored = ground.put(&path, second.clone()).await.expect(200);
    assert_eq!(stored["data"]["key"], "two");
    let message = ground.put(&path, first).await.refused(409, "Conflict");
    assert!(
        message.contains("the object has been modified"),
        "{message}"
    );
    second["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("resourceVersion");
    second["data"]["key"] = "three".into();
    ground.put(&path, second.clone()).await.expect(200);
    second["metadata"]["uid"] = "another".into();
    ground.put(&path, second).await.refused(409, "Conflict");
}

#[tokio::test]
async fn a_write_without_effect_keeps_the_version() {
    let ground = Ground::start().await;
    let made = ground
        .post(DEPLOYMENTS, deployment("web"))
        .await
        .expect(201);
    let path = format!("{DEPLOYMENTS}/web");
    let same = ground.put(&path, made.clone()).await.expect(200);
    assert_eq!(same, made);
    let same = ground
        .patch(&path, "merge", json!({"spec": {"replicas": 2}}))
        .await
        .expect(200);
    assert_eq!(same, made);
}

#[tokio::test]
async fn only_wishes_raise_the_generation_and_status_has_its_own_door() {
    let ground = Ground::start().await;
    let made = ground
        .post(DEPLOYMENTS, deployment("web"))
        .await
        .expect(201);
    assert_eq!(made["metadata"]["generation"], 1);
    assert_eq!(made["spec"]["strategy"]["type"], "RollingUpdate");
    let path = format!("{DEPLOYMENTS}/web");
    let both = json!({"spec": {"replicas": 5}, "status": {"replicas": 9}});
    let changed = ground.patch(&path, "merge", both.clone()).await.expect(200);
    assert_eq!(
        (
            &changed["metadata"]["generation"],
            &changed["spec"]["replicas"]
        ),
        (&json!(2), &json!(5))
    );
    assert_eq!(changed["status"], json!({}));
    let both = json!({
        "metadata": {"annotations": {"deployment.kubernetes.io/revision": "1"}},
        "spec": {"replicas": 7}, "status": {"replicas": 9},
    });
    let changed = ground
        .patch(&format!("{path}/status"), "merge", both)
        .await
        .expect(200);
    assert_eq!(
        (
            &changed["metadata"]["generation"],
            &changed["spec"]["replicas"]
        ),
        (&json!(2), &json!(5))
    );
    assert_eq!(changed["status"]["replicas"], 9);
    assert_eq!(
        changed["metadata"]["annotations"]["deployment.kubernetes.io/revision"],
        "1"
    );
}

#[tokio::test]
async fn patches_of_all_four_kinds_change_what_they_name() {
    let ground = Ground::start().await;
    ground
        .post(DEPLOYMENTS, deployment("web"))
        .await
        .expect(201);
    let path = format!("{DEPLOYMENTS}/web");
    let image = |value: &Value| value["spec"]["template"]["spec"]["containers"][0]["image"].clone();
    let patch =
        json!([{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "b"}]);
    assert_eq!(
        image(&ground.patch(&path, "json", patch).await.expect(200)),
        "b"
    );
    let patch =
        json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "c"}]}}}});
    let changed = ground
        .patch(&path, "strategic-merge", patch.clone())
        .await
        .expect(200);
    assert_eq!(image(&changed), "c");
    assert_eq!(
        changed["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"],
        "IfNotPresent"
    );
    let patch = json!({"metadata": {"labels": {"a": "b"}}});
    let changed = ground.patch(&path, "merge", patch).await.expect(200);
    assert_eq!(changed["metadata"]["labels"]["a"], "b");
    let failed = json!([{"op": "test", "path": "/spec/replicas", "value": 99}]);
    ground
        .patch(&path, "json", failed)
        .await
        .refused(422, "Invalid");
    ground
        .patch(&path, "json", json!({}))
        .await
        .refused(400, "BadRequest");
    ground
        .patch(&path, "unknown", json!({}))
        .await
        .refused(415, "UnsupportedMediaType");
}

#[tokio::test]
async fn applying_creates_merges_and_reports_conflicts() {
    let ground = Ground::start().await;
    let path = format!("{DEPLOYMENTS}/web");
    ground
        .patch(&path, "apply", deployment("web"))
        .await
        .refused(422, "Invalid");
    let by = |manager: &str| format!("{path}?fieldManager={manager}");
    let made = ground
        .patch(&by("one"), "apply", deployment("web"))
        .await
        .expect(201);
    assert_eq!(made["metadata"]["managedFields"][0]["operation"], "Apply");
    let again = ground
        .patch(&by("one"), "apply", deployment("web"))
        .await
        .expect(200);
    assert_eq!(again, made);
    let mut other = deployment("web");
    other["spec"] = json!({"replicas": 3});
    let refused = ground
        .patch(&by("two"), "apply", other.clone())
        .await
        .expect(409);
    assert_eq!(refused["details"]["causes"][0]["field"], ".spec.replicas");
    assert_eq!(
        refused["details"]["causes"][0]["reason"],
        "FieldManagerConflict"
    );
    let forced = ground
        .patch(&format!("{}&force=true", by("two")), "apply", other)
        .await
        .expect(200);
    assert_eq!(forced["spec"]["replicas"], 3);
    let message = ground
        .patch(&format!("{path}?force=true"), "merge", json!({}))
        .await
        .refused(422, "Invalid");
    assert!(
        message.contains("may not be specified for non-apply patch"),
        "{message}"
    );
}

#[tokio::test]
async fn concurrent_patches_all_take_effect() {
    let ground = Ground::start().await;
    ground.post(MAPS, config_map("a")).await.expect(201);
    let path = format!("{MAPS}/a");
    let patches = (0..20).map(|index| {
        let body = json!({"data": {format!("k{index}"): "x"}});
        let (ground, path) = (&ground, &path);
        async move { ground.patch(path, "merge", body).await.expect(200) }
    });
    futures::future::join_all(patches).await;
    let stored = ground.get(&path).await.expect(200);
    assert_eq!(stored["data"].as_object().unwrap().len(), 21);
}

#[tokio::test]
async fn a_dry_run_answers_and_changes_nothing() {
    let ground = Ground::start().await;
    let all = "?dryRun=All";
    ground
        .post(&format!("{MAPS}{all}"), config_map("a"))
        .await
        .expect(201);
    ground.get(&format!("{MAPS}/a")).await.expect(404);
    ground.post(MAPS, config_map("a")).await.expect(201);
    let path = format!("{MAPS}/a");
    let patch = json!({"data": {"key": "other"}});
    let shown = ground
        .patch(&format!("{path}{all}"), "merge", patch)
        .await
        .expect(200);
    assert_eq!(shown["data"]["key"], "other");
    ground
        .delete(&format!("{path}{all}"), Value::Null)
        .await
        .expect(200);
    assert_eq!(ground.get(&path).await.expect(200)["data"]["key"], "value");
    ground
        .post(&format!("{MAPS}?dryRun=Some"), config_map("b"))
        .await
        .refused(422, "Invalid");
}

#[tokio::test]
async fn unknown_and_doubled_fields_are_refused_warned_about_or_ignored() {
    let ground = Ground::start().await;
    let body = r#"{"metadata": {"name": "a"}, "data": {}, "data": {"k": "v"}, "wrong": 1}"#;
    let send = |validation: &str| {
        let path = format!("{MAPS}?dryRun=All&fieldValidation={validation}");
        let ground = &ground;
        async move { ground.post_raw(&path, "application/json", body).await }
    };
    let message = send("Strict").await.refused(400, "BadRequest");
    assert!(message.contains("unknown field \"wrong\""), "{message}");
    assert!(message.contains("duplicate field \"data\""), "{message}");
    let warned = send("Warn").await;
    assert_eq!(warned.headers.get_all("warning").iter().count(), 2);
    warned.expect(201);
    let ignored = send("Ignore").await;
    assert!(ignored.headers.get("warning").is_none());
    ignored.expect(201);
    send("Maybe").await.refused(422, "Invalid");
}

#[tokio::test]
async fn broken_bodies_are_refused_and_the_server_stays() {
    let ground = Ground::start().await;
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let big = "x".repeat(4 << 20);
    for (kind, body, code) in [
        ("application/json", "{", 400),
        ("application/json", "[]", 400),
        ("application/json", deep.as_str(), 400),
        ("application/json", big.as_str(), 413),
        ("application/yaml", "a: [", 400),
        (
            "application/vnd.kubernetes.protobuf",
            "k8s\0\u{1}\u{2}\u{3}",
            400,
        ),
        ("application/cbor", "x", 415),
        (
            "application/json",
            r#"{"kind": "Pod", "metadata": {"name": "a"}}"#,
            400,
        ),
        (
            "application/json",
            r#"{"apiVersion": "v2", "metadata": {"name": "a"}}"#,
            400,
        ),
        (
            "application/json",
            r#"{"metadata": {"name": "a"}, "data": 3}"#,
            400,
        ),
        ("application/json", r#"{"metadata": {"name": "A_b"}}"#, 422),
        (
            "application/json",
            r#"{"metadata": {"name": "a", "namespace": "b"}}"#,
            400,
        ),
        (
            "application/json",
            r#"{"metadata": {"name": "a", "resourceVersion": "1"}}"#,
            400,
        ),
    ] {
        let answer = ground.post_raw(MAPS, kind, body.to_owned()).await;
        let shown: String = body.chars().take(60).collect();
        assert_eq!(
            answer.status.as_u16(),
            code,
            "{kind} {shown}: {}",
            answer.text
        );
        assert_eq!(answer.json()["kind"], "Status");
    }
    let yaml = "metadata:\n  name: from-yaml\ndata:\n  a: b\n";
    ground
        .post_raw(MAPS, "application/yaml", yaml)
        .await
        .expect(201);
}

#[tokio::test]
async fn finalizers_hold_an_object_until_the_last_is_gone() {
    let ground = Ground::start().await;
    let mut map = config_map("a");
    map["metadata"]["finalizers"] = json!(["example.org/hold"]);
    let made = ground.post(MAPS, map).await.expect(201);
    let path = format!("{MAPS}/a");
    let leaving = ground.delete(&path, Value::Null).await.expect(200);
    assert_eq!(leaving["metadata"]["uid"], made["metadata"]["uid"]);
    assert!(leaving["metadata"]["deletionTimestamp"].is_string());
    let more = json!({"metadata": {"finalizers": ["example.org/hold", "example.org/more"]}});
    ground
        .patch(&path, "merge", more)
        .await
        .refused(422, "Invalid");
    ground.delete(&path, Value::Null).await.expect(200);
    let none = json!({"metadata": {"finalizers": null}});
    ground.patch(&path, "merge", none).await.expect(200);
    ground.get(&path).await.expect(404);
}

#[tokio::test]
async fn propagation_policies_become_finalizers() {
    let ground = Ground::start().await;
    for (policy, finalizer) in [("Orphan", "orphan"), ("Foreground", "foregroundDeletion")] {
        let name = policy.to_lowercase();
        ground.post(MAPS, config_map(&name)).await.expect(201);
        let body = json!({"propagationPolicy": policy});
        let leaving = ground
            .delete(&format!("{MAPS}/{name}"), body)
            .await
            .expect(200);
        assert_eq!(leaving["metadata"]["finalizers"], json!([finalizer]));
    }
    ground.post(MAPS, config_map("c")).await.expect(201);
    let body = json!({"propagationPolicy": "Background"});
    let done = ground.delete(&format!("{MAPS}/c"), body).await.expect(200);
    assert_eq!(
        (&done["kind"], &done["status"]),
        (&json!("Status"), &json!("Success"))
    );
    assert_eq!(done["details"]["name"], "c");
    let body = json!({"propagationPolicy": "Sideways"});
    ground
        .delete(&format!("{MAPS}/c"), body)
        .await
        .refused(422, "Invalid");
}

#[tokio::test]
async fn preconditions_guard_deletions() {
    let ground = Ground::start().await;
    let made = ground.post(MAPS, config_map("a")).await.expect(201);
    let path = format!("{MAPS}/a");
    let wrong = json!({"preconditions": {"uid": "other"}});
    ground.delete(&path, wrong).await.refused(409, "Conflict");
    let wrong = json!({"preconditions": {"resourceVersion": "1"}});
    ground.delete(&path, wrong).await.refused(409, "Conflict");
    let right = json!({"preconditions": {
        "uid": made["metadata"]["uid"], "resourceVersion": made["metadata"]["resourceVersion"],
    }});
    ground.delete(&path, right).await.expect(200);
}

#[tokio::test]
async fn a_collection_is_deleted_by_selector() {
    let ground = Ground::start().await;
    for (name, label) in [("a", "x"), ("b", "y"), ("c", "x")] {
        let mut map = config_map(name);
        map["metadata"]["labels"] = json!({"l": label});
        ground.post(MAPS, map).await.expect(201);
    }
    ground
        .delete(&format!("{MAPS}?labelSelector=l%3Dx"), Value::Null)
        .await
        .expect(200);
    let left = ground.get(MAPS).await.expect(200);
    let names: Vec<_> = left["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|map| &map["metadata"]["name"])
        .collect();
    assert_eq!(names, ["b"]);
}

#[tokio::test]
async fn selectors_cannot_change_and_must_fit_the_template() {
    let ground = Ground::start().await;
    let mut wrong = deployment("web");
    wrong["spec"]["template"]["metadata"]["labels"] = json!({"app": "other"});
    let message = ground
        .post(DEPLOYMENTS, wrong)
        .await
        .refused(422, "Invalid");
    assert!(
        message.contains("`selector` does not match template `labels`"),
        "{message}"
    );
    ground
        .post(DEPLOYMENTS, deployment("web"))
        .await
        .expect(201);
    let patch = json!({"spec": {
        "selector": {"matchLabels": {"app": "web", "b": "c"}},
        "template": {"metadata": {"labels": {"b": "c"}}},
    }});
    let message = ground
        .patch(&format!("{DEPLOYMENTS}/web"), "merge", patch)
        .await
        .refused(422, "Invalid");
    assert!(message.contains("field is immutable"), "{message}");
    let mut empty = deployment("empty");
    empty["spec"]["template"]["spec"]["containers"] = json!([]);
    let message = ground
        .post(DEPLOYMENTS, empty)
        .await
        .refused(422, "Invalid");
    assert!(
        message.contains("spec.template.spec.containers: Required value"),
        "{message}"
    );
}

#[tokio::test]
async fn scale_reads_and_writes_replicas() {
    let ground = Ground::start().await;
    ground
        .post(DEPLOYMENTS, deployment("web"))
        .await
        .expect(201);
    let path = format!("{DEPLOYMENTS}/web/scale");
    let scale = ground.get(&path).await.expect(200);
    assert_eq!(
        (&scale["kind"], &scale["apiVersion"]),
        (&json!("Scale"), &json!("autoscaling/v1"))
    );
    assert_eq!(
        (&scale["spec"]["replicas"], &scale["status"]["selector"]),
        (&json!(2), &json!("app=web"))
    );
    let scaled = ground
        .patch(&path, "merge", json!({"spec": {"replicas": 4}}))
        .await
        .expect(200);
    assert_eq!(scaled["spec"]["replicas"], 4);
    let mut stale = scale.clone();
    stale["spec"]["replicas"] = 1.into();
    ground.put(&path, stale).await.refused(409, "Conflict");
    ground
        .patch(&path, "merge", json!({"spec": {"replicas": -1}}))
        .await
        .refused(422, "Invalid");
    let stored = ground.get(&format!("{DEPLOYMENTS}/web")).await.expect(200);
    assert_eq!(
        (
            &stored["spec"]["replicas"],
            &stored["metadata"]["generation"]
        ),
        (&json!(4), &json!(2))
    );
}

#[tokio::test]
async fn immutable_maps_stay() {
    let ground = Ground::start().await;
    let mut map = config_map("a");
    map["immutable"] = true.into();
    ground.post(MAPS, map).await.expect(201);
    let patch = json!({"data": {"key": "other"}});
    let message = ground
        .patch(&format!("{MAPS}/a"), "merge", patch)
        .await
        .refused(422, "Invalid");
    assert!(message.contains("immutable"), "{message}");
}

#[tokio::test]
async fn patches_that_cannot_be_read_are_refused_in_upstreams_words() {
    let ground = Ground::start().await;
    ground.post(MAPS, config_map("a")).await.expect(201);
    let path = format!("{MAPS}/a");
    let message = ground
        .patch(&path, "merge", json!("nonsense"))
        .await
        .refused(400, "BadRequest");
    assert_eq!(
        message,
        "json: cannot unmarshal string into Go value of type map[string]interface {}"
    );
    let failing = json!([{"op": "test", "path": "/data/key", "value": "other"}]);
    let refused = ground.patch(&path, "json", failing).await.expect(422);
    assert_eq!(
        (&refused["message"], refused.get("details")),
        (
            &json!("the server rejected our request due to an error in our request"),
            None
        )
    );
    let number = json!({"data": {"color": 1}});
    let refused = ground
        .patch(&path, "strategic-merge", number)
        .await
        .expect(422);
    assert_eq!(
        refused["details"]["causes"][0]["message"],
        "Invalid value: \"map[data:map[color:1]]\": cannot convert int64 to string"
    );
    let message = ground
        .get(&format!("{MAPS}?labelSelector=app%20in%20shop"))
        .await
        .refused(400, "BadRequest");
    assert_eq!(
        message,
        "unable to parse requirement: found 'shop' expected: '('"
    );
    let pods = "/api/v1/namespaces/default/pods";
    ground.post(pods, crate::ground::pod("a")).await.expect(201);
    let grace = json!({"spec": {"terminationGracePeriodSeconds": 5}});
    let refused = ground
        .patch(&format!("{pods}/a"), "strategic-merge", grace)
        .await
        .expect(422);
    assert_eq!(refused["details"]["causes"][0]["field"], "spec");
}
