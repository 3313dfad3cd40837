//! Volumes that change, are limited, or belong to somebody else.

use std::time::Duration;

use foreshore_engine_node::RuntimeKind;
use foreshore_testkit::cluster::Kind;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolume, PersistentVolumeClaim};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::fixture::{Fixture, condition, container, phase};

pub(crate) async fn a_mounted_config_map_follows_its_object(ground: Kind) {
    let fixture = Fixture::with(ground, RuntimeKind::Sandbox, |options| {
        options.volumes_every = Duration::from_millis(200);
    })
    .await;
    let maps: Api<ConfigMap> = Api::namespaced(fixture.client.clone(), &fixture.name);
    let map = json!({ "metadata": { "name": "settings" }, "data": { "old": "1" } });
    maps.create(
        &PostParams::default(),
        &serde_json::from_value(map).unwrap(),
    )
    .await
    .unwrap();
    fixture
        .pod("follows", &["sleep"], |pod| {
            pod["spec"]["volumes"] =
                json!([{ "name": "settings", "configMap": { "name": "settings" } }]);
            let container = &mut pod["spec"]["containers"][0];
            container["volumeMounts"] = json!([{ "name": "settings", "mountPath": "/settings" }]);
            container["readinessProbe"] = json!({
                "exec": { "command": ["program", "exists", "/settings/new"] }, "periodSeconds": 1,
            });
        })
        .await;
    let pod = fixture
        .until("follows", |pod| phase(pod) == "Running")
        .await;
    assert_eq!(condition(&pod, "Ready"), Some("False"));
    let change = json!({ "data": { "old": null, "new": "2" } });
    maps.patch("settings", &PatchParams::default(), &Patch::Merge(change))
        .await
        .unwrap();
    let pod = fixture.until_ready("follows").await;
    let uid = pod.metadata.uid.unwrap();
    let volume = fixture
        .options
        .root
        .join("pods")
        .join(uid)
        .join("volumes/settings");
    assert_eq!(std::fs::read_to_string(volume.join("new")).unwrap(), "2");
    assert!(!volume.join("old").exists());
    fixture.finish().await;
}

pub(crate) async fn memory_volumes_keep_their_limit_and_go_with_the_pod(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Sandbox).await;
    fixture
        .pod("memory", &["fill", "/data/file", "2097152"], |pod| {
            pod["spec"]["restartPolicy"] = json!("Never");
            pod["spec"]["volumes"] =
                json!([{ "name": "data", "emptyDir": { "medium": "Memory", "sizeLimit": "1Mi" } }]);
            let container = &mut pod["spec"]["containers"][0];
            container["env"] = json!([{ "name": "WHERE", "value": "deep" }]);
            container["volumeMounts"] = json!([
                { "name": "data", "mountPath": "/data" },
                { "name": "data", "mountPath": "/part", "subPathExpr": "$(WHERE)" },
            ]);
        })
        .await;
    fixture.until_log("memory", "written 1048576").await;
    let pod = fixture
        .until("memory", |pod| phase(pod) == "Succeeded")
        .await;
    let uid = pod.metadata.uid.unwrap();
    let volume = fixture
        .options
        .root
        .join("pods")
        .join(uid)
        .join("volumes/data");
    assert!(volume.join("deep").is_dir());
    fixture.delete("memory").await;
    fixture.until_gone("memory").await;
    fixture.finish().await;
}

pub(crate) async fn a_pod_that_outgrows_its_volume_is_evicted(ground: Kind) {
    let fixture = Fixture::with(ground, RuntimeKind::Sandbox, |options| {
        options.volumes_every = Duration::from_millis(200);
    })
    .await;
    fixture
        .pod("grows", &["fill", "/data/file", "2097152", "stay"], |pod| {
            pod["spec"]["volumes"] =
                json!([{ "name": "data", "emptyDir": { "sizeLimit": "1Mi" } }]);
            pod["spec"]["containers"][0]["volumeMounts"] =
                json!([{ "name": "data", "mountPath": "/data" }]);
        })
        .await;
    let pod = fixture.until("grows", |pod| phase(pod) == "Failed").await;
    let status = pod.status.unwrap();
    assert_eq!(status.reason.as_deref(), Some("Evicted"));
    let words = "Usage of EmptyDir volume \"data\" exceeds the limit \"1Mi\". ";
    assert_eq!(status.message.as_deref(), Some(words));
    fixture.finish().await;
}

pub(crate) async fn a_claim_leads_to_the_folder_of_its_volume(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Sandbox).await;
    let place = fixture.folder.join("claimed");
    std::fs::create_dir(&place).unwrap();
    // Whoever the image runs as may write there, as with claims of the engine.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(&place, open).unwrap();
    let volume_name = format!("pv-{}-{}", fixture.name, std::process::id());
    let volumes: Api<PersistentVolume> = Api::all(fixture.client.clone());
    let size = json!({ "storage": "1Gi" });
    let volume = json!({
        "metadata": { "name": volume_name },
        "spec": {
            "capacity": size, "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "",
            "hostPath": { "path": place, "type": "Directory" },
            "claimRef": { "namespace": fixture.name, "name": "data" },
        },
    });
    let post = PostParams::default();
    let volume = serde_json::from_value(volume).unwrap();
    volumes.create(&post, &volume).await.unwrap();
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(fixture.client.clone(), &fixture.name);
    let claim = json!({
        "metadata": { "name": "data" },
        "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": { "requests": size },
            "storageClassName": "", "volumeName": volume_name,
        },
    });
    let claim = serde_json::from_value(claim).unwrap();
    claims.create(&post, &claim).await.unwrap();
    fixture
        .pod("claims", &["write", "/data/kept", "words"], |pod| {
            pod["spec"]["restartPolicy"] = json!("Never");
            pod["spec"]["volumes"] =
                json!([{ "name": "data", "persistentVolumeClaim": { "claimName": "data" } }]);
            pod["spec"]["containers"][0]["volumeMounts"] =
                json!([{ "name": "data", "mountPath": "/data" }]);
        })
        .await;
    let pod = fixture
        .until("claims", |pod| matches!(phase(pod), "Succeeded" | "Failed"))
        .await;
    assert_eq!(phase(&pod), "Succeeded", "{:?}", container(&pod));
    fixture.delete("claims").await;
    fixture.until_gone("claims").await;
    // What was claimed outlives the pod.
    let kept = std::fs::read_to_string(place.join("kept")).unwrap();
    assert_eq!(kept, "words");
    volumes
        .delete(&volume_name, &DeleteParams::default())
        .await
        .unwrap();
    fixture.finish().await;
}

pub(crate) async fn a_plain_process_says_that_it_goes_without_its_token(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Process).await;
    fixture.pod("plain", &["sleep"], |_| {}).await;
    fixture.until_ready("plain").await;
    fixture.until_event("plain", "TokenNotMounted").await;
    fixture.finish().await;
}
