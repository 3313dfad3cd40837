//! Containers with namespaces and a root file system of their own.

use foreshore_engine_node::RuntimeKind;
use foreshore_testkit::cluster::Kind;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

use crate::fixture::{Fixture, address, condition, container, phase};

pub(crate) async fn a_sandboxed_container_sees_its_image_its_volumes_and_nothing_else(
    ground: Kind,
) {
    let fixture = Fixture::new(ground, RuntimeKind::Sandbox).await;
    let maps: Api<k8s_openapi::api::core::v1::ConfigMap> =
        Api::namespaced(fixture.client.clone(), &fixture.name);
    let map = json!({ "metadata": { "name": "settings" }, "data": { "colour": "green" } });
    maps.create(
        &PostParams::default(),
        &serde_json::from_value(map).unwrap(),
    )
    .await
    .unwrap();
    let token = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
    let paths = [
        "show",
        "/settings/colour",
        "/etc/hostname",
        "/etc/resolv.conf",
        "/proc/1/comm",
        "/etc/shadow",
        token,
    ];
    fixture
        .pod("box", &paths, |pod| {
            pod["spec"]["restartPolicy"] = json!("Never");
            pod["spec"]["volumes"] =
                json!([{ "name": "settings", "configMap": { "name": "settings" } }]);
            let container = &mut pod["spec"]["containers"][0];
            container["volumeMounts"] = json!([{ "name": "settings", "mountPath": "/settings" }]);
            container["securityContext"] = json!({ "readOnlyRootFilesystem": true });
        })
        .await;
    let pod = fixture
        .until("box", |pod| matches!(phase(pod), "Succeeded" | "Failed"))
        .await;
    let log = fixture.log("box").await;
    assert_eq!(phase(&pod), "Succeeded", "{log} {:?}", container(&pod));
    let has = |line: &str| assert!(log.lines().any(|seen| seen == line), "no `{line}` in {log}");
    has("/settings/colour=Ok(\"green\")");
    has("/etc/hostname=Ok(\"box\\n\")");
    has("/proc/1/comm=Ok(\"program\\n\")");
    has(&format!("{token}=Ok(\"{}\")", fixture.name));
    assert!(log.contains("/etc/shadow=Err(Os { code: 2"), "{log}");
    assert!(log.contains("nameserver 10.96.0.10\\nsearch "), "{log}");
    assert!(
        log.contains("write to / is Err(ReadOnlyFilesystem)"),
        "{log}"
    );
    fixture.finish().await;
}

pub(crate) async fn a_sandboxed_pod_serves_shares_files_and_is_probed_from_inside(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Sandbox).await;
    let image = fixture.image.clone();
    fixture
        .pod("web", &["serve", "80", "/shared/ready"], |pod| {
            pod["spec"]["securityContext"] = json!({ "runAsUser": 1000, "runAsNonRoot": true, "fsGroup": 1000 });
            pod["spec"]["volumes"] = json!([{ "name": "shared", "emptyDir": {} }]);
            let mounts = json!([{ "name": "shared", "mountPath": "/shared" }]);
            pod["spec"]["initContainers"] = json!([{
                "name": "prepare", "image": image, "args": ["write", "/shared/made", "x"], "volumeMounts": mounts,
            }]);
            let container = &mut pod["spec"]["containers"][0];
            container["volumeMounts"] = mounts;
            container["readinessProbe"] =
                json!({ "exec": { "command": ["program", "exists", "/shared/made"] }, "periodSeconds": 1 });
            container["lifecycle"] =
                json!({ "postStart": { "exec": { "command": ["program", "write", "/shared/ready", "y"] } } });
        })
        .await;
    let pod = fixture.until_ready("web").await;
    assert_eq!(condition(&pod, "Initialized"), Some("True"));
    let target = std::net::SocketAddr::from((address(&pod), 80));
    let limit = std::time::Duration::from_secs(5);
    fixture.options.ground.connect(target, limit).await.unwrap();
    fixture.delete("web").await;
    fixture.until_gone("web").await;
    fixture.finish().await;
}
