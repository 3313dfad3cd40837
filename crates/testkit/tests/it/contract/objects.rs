//! Single objects: made, read, changed, deleted, refused.

use serde_json::json;

use super::samples::{config_map, deployment, namespaced};
use crate::world::World;

pub(crate) async fn every_kind_is_created_read_changed_and_deleted(world: World) {
    for (group, plural, object) in namespaced() {
        let all = if group == "v1" {
            world.core(plural)
        } else {
            world.group(group, plural)
        };
        let one = format!("{all}/one");
        let made = world.post(&all, object).await.ok();
        for field in ["uid", "resourceVersion", "creationTimestamp", "namespace"] {
            assert!(
                made["metadata"][field].is_string(),
                "{plural} has no {field}"
            );
        }
        let read = world.get(&one).await.ok();
        assert_eq!(read["metadata"]["uid"], made["metadata"]["uid"], "{plural}");
        let changed = world
            .merge(&one, json!({"metadata": {"labels": {"changed": "yes"}}}))
            .await
            .ok();
        assert_eq!(changed["metadata"]["labels"]["changed"], "yes", "{plural}");
        assert_ne!(
            changed["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"],
            "{plural}"
        );
        let list = world
            .get(&format!("{all}?labelSelector=changed=yes"))
            .await
            .ok();
        assert_eq!(list["items"].as_array().unwrap().len(), 1, "{plural}");
        world
            .delete(&one, json!({"gracePeriodSeconds": 0}))
            .await
            .ok();
        world
            .until("the object to be gone", &one, |reply| reply.code == 404)
            .await;
    }
}

pub(crate) async fn a_name_is_taken_once(world: World) {
    let all = world.core("configmaps");
    let mut object = config_map("one");
    object["data"]["key"] = json!("first");
    world.post(&all, object).await.ok();
    let status = world.post(&all, config_map("one")).await;
    let status = status.refused(409, "AlreadyExists", "configmaps \"one\" already exists");
    assert_eq!(
        status["details"],
        json!({"name": "one", "kind": "configmaps"})
    );
    assert_eq!(
        world.get(&world.core("configmaps/one")).await.ok()["data"]["key"],
        "first"
    );
}

pub(crate) async fn a_body_of_another_kind_or_version_is_refused(world: World) {
    let all = world.core("configmaps");
    let mut object = config_map("one");
    object["kind"] = json!("Service");
    let reply = world.post(&all, object.clone()).await;
    assert_eq!(
        (reply.code, &reply.body["reason"]),
        (400, &json!("BadRequest"))
    );
    let words = reply.body["message"].as_str().unwrap();
    let expected = "Service in version \"v1\" cannot be handled as a ConfigMap";
    assert!(words.starts_with(expected), "{words}");
    object["kind"] = json!("ConfigMap");
    object["apiVersion"] = json!("apps/v1");
    let reply = world.post(&all, object).await;
    assert_eq!(
        (reply.code, &reply.body["reason"]),
        (400, &json!("BadRequest"))
    );
    assert_eq!(world.get(&format!("{all}/one")).await.code, 404);
}

pub(crate) async fn a_missing_object_is_named_in_the_refusal(world: World) {
    let missing = world.core("configmaps/none");
    let said = "configmaps \"none\" not found";
    let status = world.get(&missing).await.refused(404, "NotFound", said);
    assert_eq!(
        status["details"],
        json!({"name": "none", "kind": "configmaps"})
    );
    world
        .delete(&missing, json!({}))
        .await
        .refused(404, "NotFound", said);
    world
        .merge(&missing, json!({}))
        .await
        .refused(404, "NotFound", said);
    let status = world.get(&world.apps("deployments/none")).await;
    let status = status.refused(404, "NotFound", "deployments.apps \"none\" not found");
    assert_eq!(
        status["details"],
        json!({"name": "none", "group": "apps", "kind": "deployments"})
    );
}

pub(crate) async fn a_stale_version_conflicts(world: World) {
    let (all, one) = (world.core("configmaps"), world.core("configmaps/one"));
    let old = world.post(&all, config_map("one")).await.ok();
    world
        .merge(&one, json!({"data": {"key": "new"}}))
        .await
        .ok();
    world.put(&one, old).await.refused(
        409,
        "Conflict",
        "Operation cannot be fulfilled on configmaps \"one\": the object has been modified; please apply your \
         changes to the latest version and try again",
    );
    // Without a version the last write wins.
    world.put(&one, config_map("one")).await.ok();
}

pub(crate) async fn a_generated_name_starts_as_asked(world: World) {
    let all = world.core("configmaps");
    let made = world
        .post(&all, json!({"metadata": {"generateName": "some-"}}))
        .await
        .ok();
    let name = made["metadata"]["name"].as_str().unwrap();
    assert!(
        name.starts_with("some-") && name.len() == "some-".len() + 5,
        "{name}"
    );
    world.post(&all, json!({"metadata": {}})).await.refused(
        422,
        "Invalid",
        "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required",
    );
}

pub(crate) async fn a_dry_run_changes_nothing(world: World) {
    let (all, one) = (world.core("configmaps"), world.core("configmaps/one"));
    let shown = world
        .post(&format!("{all}?dryRun=All"), config_map("one"))
        .await
        .ok();
    assert!(shown["metadata"]["uid"].is_string());
    assert_eq!(world.get(&one).await.code, 404);
    let made = world.post(&all, config_map("one")).await.ok();
    let shown = world
        .merge(
            &format!("{one}?dryRun=All"),
            json!({"data": {"key": "new"}}),
        )
        .await
        .ok();
    assert_eq!(shown["data"]["key"], "new");
    world.delete(&one, json!({"dryRun": ["All"]})).await.ok();
    let read = world.get(&one).await.ok();
    assert_eq!(
        read["metadata"]["resourceVersion"],
        made["metadata"]["resourceVersion"]
    );
}

pub(crate) async fn a_wrong_uid_protects_from_deletion(world: World) {
    let (all, one) = (world.core("configmaps"), world.core("configmaps/one"));
    let made = world.post(&all, config_map("one")).await.ok();
    let uid = made["metadata"]["uid"].as_str().unwrap();
    let other = json!({"preconditions": {"uid": "00000000-0000-0000-0000-000000000000"}});
    world.delete(&one, other).await.refused(
        409,
        "Conflict",
        &format!(
            "Operation cannot be fulfilled on ConfigMap \"one\": the UID in the precondition \
             (00000000-0000-0000-0000-000000000000) does not match the UID in record ({uid}). The object might \
             have been deleted and then recreated"
        ),
    );
    world
        .delete(&one, json!({"preconditions": {"uid": uid}}))
        .await
        .ok();
}

pub(crate) async fn a_finalizer_holds_an_object(world: World) {
    let (all, one) = (world.core("configmaps"), world.core("configmaps/one"));
    let mut object = config_map("one");
    object["metadata"]["finalizers"] = json!(["example.com/hold"]);
    world.post(&all, object).await.ok();
    world.delete(&one, json!({})).await.ok();
    let held = world.get(&one).await.ok();
    assert!(held["metadata"]["deletionTimestamp"].is_string());
    world
        .merge(&one, json!({"metadata": {"finalizers": null}}))
        .await
        .ok();
    assert_eq!(world.get(&one).await.code, 404);
}

pub(crate) async fn invalid_objects_are_refused_with_every_cause(world: World) {
    let mut object = deployment("one");
    object["spec"]["replicas"] = json!(-1);
    object["spec"]["template"]["spec"]["containers"][0]["name"] = json!("Not Valid");
    object["spec"]["template"]["metadata"]["labels"] = json!({"app": "other"});
    let reply = world.post(&world.apps("deployments"), object).await;
    assert_eq!(
        (reply.code, &reply.body["reason"]),
        (422, &json!("Invalid"))
    );
    let causes = reply.body["details"]["causes"].as_array().unwrap();
    let mut fields: Vec<&str> = causes
        .iter()
        .map(|cause| cause["field"].as_str().unwrap())
        .collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        [
            "spec.replicas",
            "spec.template.metadata.labels",
            "spec.template.spec.containers[0].name"
        ]
    );
}

pub(crate) async fn unknown_fields_are_refused_when_asked_for(world: World) {
    let all = world.apps("deployments");
    let mut object = deployment("one");
    object["spec"]["replica"] = json!(3);
    world.post(&format!("{all}?fieldValidation=Strict"), object.clone()).await.refused(
        400,
        "BadRequest",
        "Deployment in version \"v1\" cannot be handled as a Deployment: strict decoding error: unknown field \
         \"spec.replica\"",
    );
    let reply = world
        .post(&format!("{all}?fieldValidation=Warn"), object)
        .await;
    assert_eq!(
        reply.warnings,
        ["299 - \"unknown field \\\"spec.replica\\\"\""]
    );
    assert!(reply.ok()["spec"].get("replica").is_none());
}
