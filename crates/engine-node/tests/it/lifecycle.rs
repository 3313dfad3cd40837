//! Plain processes from creation to removal.

use foreshore_engine_node::RuntimeKind;
use foreshore_testkit::cluster::Kind;
use serde_json::json;

use crate::fixture::{Fixture, address, condition, container, phase, processes_in, waiting};

pub(crate) async fn a_pod_is_started_probed_served_and_removed(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Process).await;
    let ready_file = fixture.folder.join("ready");
    fixture
        .pod(
            "web",
            &["serve", "8080", ready_file.to_str().unwrap()],
            |pod| {
                let container = &mut pod["spec"]["containers"][0];
                container["ports"] = json!([{ "name": "http", "containerPort": 8080 }]);
                container["readinessProbe"] =
                    json!({ "httpGet": { "path": "/ready", "port": "http" }, "periodSeconds": 1 });
            },
        )
        .await;
    let pod = fixture.until("web", |pod| phase(pod) == "Running").await;
    assert_eq!(condition(&pod, "Ready"), Some("False"));
    let message = fixture.until_event("web", "Unhealthy").await;
    assert!(
        message.contains("Readiness probe failed") && message.contains("503"),
        "{message}"
    );

    std::fs::write(&ready_file, "").unwrap();
    let pod = fixture.until_ready("web").await;
    assert!(container(&pod).ready);
    assert_eq!(address(&pod).octets()[..2], [10, 244]);
    assert_eq!(address(&pod).octets()[2], fixture.options.node_index);
    assert!(fixture.log("web").await.contains("listening"));

    std::fs::remove_file(&ready_file).unwrap();
    fixture
        .until("web", |pod| condition(pod, "Ready") == Some("False"))
        .await;

    fixture.delete("web").await;
    fixture.until_gone("web").await;
    for reason in ["Pulled", "Created", "Started", "Killing"] {
        fixture.until_event("web", reason).await;
    }
    assert_eq!(processes_in(&fixture.options.root), Vec::<String>::new());
    fixture.finish().await;
}

pub(crate) async fn restart_policies_decide_what_an_exit_means(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Process).await;
    for (name, code, policy) in [
        ("good", "0", "Never"),
        ("bad", "3", "Never"),
        ("once", "0", "OnFailure"),
    ] {
        fixture
            .pod(name, &["exit", code], |pod| {
                pod["spec"]["restartPolicy"] = json!(policy);
            })
            .await;
    }
    fixture.until("good", |pod| phase(pod) == "Succeeded").await;
    fixture.until("once", |pod| phase(pod) == "Succeeded").await;
    let pod = fixture.until("bad", |pod| phase(pod) == "Failed").await;
    let terminated = container(&pod).state.unwrap().terminated.unwrap();
    assert_eq!(
        (terminated.exit_code, terminated.reason.as_deref()),
        (3, Some("Error"))
    );
    fixture.finish().await;
}

pub(crate) async fn a_container_that_keeps_crashing_backs_off_and_says_why(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Process).await;
    fixture.pod("crash", &["exit", "9"], |_| {}).await;
    let pod = fixture
        .until("crash", |pod| waiting(pod).0 == "CrashLoopBackOff")
        .await;
    let status = container(&pod);
    assert_eq!(status.restart_count, 1);
    assert_eq!(status.last_state.unwrap().terminated.unwrap().exit_code, 9);
    assert!(
        waiting(&pod)
            .1
            .starts_with("back-off 10s restarting failed container=main"),
        "{:?}",
        waiting(&pod)
    );
    assert_eq!(phase(&pod), "Running");
    fixture.until_event("crash", "BackOff").await;
    fixture.finish().await;
}

pub(crate) async fn init_containers_run_to_their_end_one_after_the_other(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Process).await;
    let (first, second) = (fixture.folder.join("first"), fixture.folder.join("second"));
    let image = fixture.image.clone();
    fixture
        .pod("init", &["exists", second.to_str().unwrap()], |pod| {
            pod["spec"]["restartPolicy"] = json!("Never");
            pod["spec"]["initContainers"] = json!([
                { "name": "one", "image": image, "args": ["write", first, "1"] },
                { "name": "two", "image": image, "args": ["write", second, "2"] },
            ]);
        })
        .await;
    let pod = fixture.until("init", |pod| phase(pod) == "Succeeded").await;
    let early = pod.status.unwrap().init_container_statuses.unwrap();
    let end = |index: usize| {
        early[index]
            .state
            .as_ref()
            .unwrap()
            .terminated
            .clone()
            .unwrap()
    };
    assert!(end(0).finished_at <= end(1).started_at);
    fixture.finish().await;
}

pub(crate) async fn a_liveness_probe_that_fails_restarts_the_container(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Process).await;
    let alive = fixture.folder.join("alive");
    std::fs::write(&alive, "").unwrap();
    fixture
        .pod("live", &["sleep"], |pod| {
            pod["spec"]["containers"][0]["livenessProbe"] = json!({
                "exec": { "command": ["program", "exists", alive] },
                "periodSeconds": 1,
                "failureThreshold": 1,
            });
        })
        .await;
    fixture.until_ready("live").await;
    std::fs::remove_file(&alive).unwrap();
    let pod = fixture
        .until("live", |pod| container(pod).restart_count == 1)
        .await;
    let last = container(&pod).last_state.unwrap().terminated;
    assert_eq!(last.unwrap().exit_code, 128 + 15);
    fixture.until_event("live", "Unhealthy").await;
    fixture.finish().await;
}

pub(crate) async fn the_environment_comes_from_image_pod_and_objects(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Process).await;
    let maps: kube::Api<k8s_openapi::api::core::v1::ConfigMap> =
        kube::Api::namespaced(fixture.client.clone(), &fixture.name);
    let map = json!({ "metadata": { "name": "settings" }, "data": { "COLOUR": "green" } });
    maps.create(
        &kube::api::PostParams::default(),
        &serde_json::from_value(map).unwrap(),
    )
    .await
    .unwrap();
    fixture
        .pod("env", &["show"], |pod| {
            pod["spec"]["restartPolicy"] = json!("Never");
            pod["spec"]["containers"][0]["envFrom"] =
                json!([{ "configMapRef": { "name": "settings" } }]);
            pod["spec"]["containers"][0]["env"] = json!([
                { "name": "ME", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
                { "name": "GREETING", "value": "$(ME) is $(COLOUR)" },
            ]);
        })
        .await;
    fixture.until("env", |pod| phase(pod) == "Succeeded").await;
    let log = fixture.log("env").await;
    for line in [
        "FROM_IMAGE=yes",
        "GREETING=env is green",
        "HOSTNAME=env",
        "KUBERNETES_SERVICE_HOST=10.96.0.1",
    ] {
        assert!(log.lines().any(|seen| seen == line), "no `{line}` in {log}");
    }
    fixture.finish().await;
}
