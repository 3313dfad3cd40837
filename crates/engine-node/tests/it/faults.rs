//! What goes wrong, in the words a Kubernetes user expects.

use foreshore_engine_node::RuntimeKind;
use foreshore_testkit::cluster::Kind;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;

use crate::fixture::{Fixture, container, phase, processes_in, waiting};

pub(crate) async fn an_image_that_cannot_be_had_is_waited_for_and_named(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Process).await;
    for (name, image, policy) in [
        ("nowhere", "127.0.0.1:1/none:1", "IfNotPresent"),
        ("never", "127.0.0.1:1/none:1", "Never"),
        ("broken", "UPPER//case", "IfNotPresent"),
    ] {
        fixture
            .pod(name, &[], |pod| {
                pod["spec"]["containers"][0]["image"] = json!(image);
                pod["spec"]["containers"][0]["imagePullPolicy"] = json!(policy);
            })
            .await;
    }
    fixture
        .until("nowhere", |pod| waiting(pod).0 == "ErrImagePull")
        .await;
    let pod = fixture
        .until("nowhere", |pod| waiting(pod).0 == "ImagePullBackOff")
        .await;
    assert!(
        waiting(&pod).1.contains("127.0.0.1:1/none"),
        "{:?}",
        waiting(&pod)
    );
    assert_eq!(phase(&pod), "Pending");
    fixture
        .until("never", |pod| waiting(pod).0 == "ErrImageNeverPull")
        .await;
    fixture
        .until("broken", |pod| waiting(pod).0 == "InvalidImageName")
        .await;
    fixture.until_event("nowhere", "Failed").await;
    fixture.finish().await;
}

pub(crate) async fn a_missing_config_map_holds_the_container_back_until_it_is_there(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Process).await;
    fixture
        .pod("wants", &["sleep"], |pod| {
            pod["spec"]["containers"][0]["envFrom"] =
                json!([{ "configMapRef": { "name": "late" } }]);
        })
        .await;
    let pod = fixture
        .until("wants", |pod| {
            waiting(pod).0 == "CreateContainerConfigError"
        })
        .await;
    assert_eq!(waiting(&pod).1, "configmap \"late\" not found");
    let maps: kube::Api<k8s_openapi::api::core::v1::ConfigMap> =
        kube::Api::namespaced(fixture.client.clone(), &fixture.name);
    let map = serde_json::from_value(json!({ "metadata": { "name": "late" } })).unwrap();
    maps.create(&PostParams::default(), &map).await.unwrap();
    fixture.until_ready("wants").await;
    fixture.finish().await;
}

pub(crate) async fn what_a_plain_process_cannot_honour_is_refused_by_name(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Process).await;
    fixture
        .pod("mounts", &["sleep"], |pod| {
            pod["spec"]["volumes"] = json!([{ "name": "data", "emptyDir": {} }]);
            pod["spec"]["containers"][0]["volumeMounts"] =
                json!([{ "name": "data", "mountPath": "/data" }]);
        })
        .await;
    let pod = fixture
        .until("mounts", |pod| {
            waiting(pod).0 == "CreateContainerConfigError"
        })
        .await;
    let words = "the process runtime cannot honour spec.containers[main].volumeMounts[/data] (only beneath workingDir or $(FORESHORE_ROOT))";
    assert_eq!(waiting(&pod).1, words);
    fixture.finish().await;
}

pub(crate) async fn a_program_that_is_not_in_the_image_is_named(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Process).await;
    fixture
        .pod("lost", &[], |pod| {
            pod["spec"]["containers"][0]["command"] = json!(["/bin/nothing"]);
        })
        .await;
    let pod = fixture
        .until("lost", |pod| waiting(pod).0 == "CreateContainerConfigError")
        .await;
    assert!(
        waiting(&pod)
            .1
            .contains("`/bin/nothing` is not in the image"),
        "{:?}",
        waiting(&pod)
    );
    fixture.finish().await;
}

pub(crate) async fn a_program_that_cannot_be_started_backs_off_and_is_named(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Sandbox).await;
    fixture
        .pod("lost", &[], |pod| {
            pod["spec"]["containers"][0]["command"] = json!(["/bin/nothing"]);
        })
        .await;
    let pod = fixture
        .until("lost", |pod| waiting(pod).0 == "CrashLoopBackOff")
        .await;
    let last = container(&pod).last_state.unwrap().terminated.unwrap();
    assert_eq!(
        (last.exit_code, last.reason.as_deref()),
        (128, Some("StartError"))
    );
    assert!(last.message.unwrap().contains("/bin/nothing"));
    let words = fixture.until_event("lost", "BackOff").await;
    assert!(
        words.contains("Back-off restarting failed container main"),
        "{words}"
    );
    fixture.finish().await;
}

pub(crate) async fn pods_outlive_a_killed_node_and_are_looked_after_again(ground: Kind) {
    let mut fixture = Fixture::new(ground, RuntimeKind::Process).await;
    fixture.pod("stays", &["sleep"], |_| {}).await;
    fixture.pod("goes", &["sleep"], |_| {}).await;
    let before = fixture.until_ready("stays").await;
    fixture.until_ready("goes").await;
    fixture.kill_node().await;
    let force = DeleteParams::default().grace_period(0);
    fixture.pods().delete("goes", &force).await.unwrap();
    fixture.until_gone("goes").await;
    assert_eq!(containers(&fixture), 2);

    fixture.start_node();
    foreshore_testkit::wait::until("the leftover to go", crate::fixture::LIMIT, || async {
        containers(&fixture) == 1
    })
    .await
    .unwrap();
    // The same process goes on: not restarted, and still looked after.
    let after = fixture.until_ready("stays").await;
    assert_eq!(container(&after).restart_count, 0);
    assert_eq!(
        container(&after).container_id,
        container(&before).container_id
    );
    fixture.delete("stays").await;
    fixture.until_gone("stays").await;
    assert_eq!(containers(&fixture), 0);
    fixture.finish().await;
}

fn containers(fixture: &Fixture) -> usize {
    processes_in(&fixture.options.root)
        .iter()
        .filter(|line| line.contains("pod-shim"))
        .count()
}

pub(crate) async fn a_container_that_ended_while_the_node_was_away_is_restarted(ground: Kind) {
    let mut fixture = Fixture::new(ground, RuntimeKind::Process).await;
    fixture.pod("dies", &["sleep"], |_| {}).await;
    fixture.until_ready("dies").await;
    fixture.kill_node().await;
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let cwd = std::fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        if cwd.starts_with(&fixture.options.root) {
            let pid = entry.file_name().to_str().unwrap().parse().unwrap();
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        }
    }
    fixture.start_node();
    let pod = fixture
        .until("dies", |pod| container(pod).restart_count == 1)
        .await;
    let last = container(&pod).last_state.unwrap().terminated.unwrap();
    assert_eq!(last.exit_code, 137);
    fixture.until_ready("dies").await;
    fixture.finish().await;
}

pub(crate) async fn a_node_that_was_stopped_in_order_goes_on_with_what_its_pods_had_written(
    ground: Kind,
) {
    let mut fixture = Fixture::new(ground, RuntimeKind::Sandbox).await;
    fixture
        .pod("keeps", &["serve", "80", "-"], |pod| {
            pod["spec"]["volumes"] = json!([{ "name": "data", "emptyDir": {} }]);
            let container = &mut pod["spec"]["containers"][0];
            container["volumeMounts"] = json!([{ "name": "data", "mountPath": "/data" }]);
            container["lifecycle"] =
                json!({ "postStart": { "exec": { "command": ["program", "write", "/data/kept", "x"] } } });
            container["readinessProbe"] =
                json!({ "exec": { "command": ["program", "exists", "/data/kept"] } });
        })
        .await;
    let before = fixture.until_ready("keeps").await;
    fixture.stop_node().await;
    foreshore_engine_node::stop_everything(&fixture.options.root)
        .await
        .unwrap();
    assert_eq!(containers(&fixture), 0);
    let uid = before.metadata.uid.as_deref().unwrap();
    let kept = fixture
        .options
        .root
        .join("pods")
        .join(uid)
        .join("volumes/data/kept");
    assert_eq!(std::fs::read_to_string(kept).unwrap(), "x");

    fixture.start_node();
    let after = fixture
        .until("keeps", |pod| {
            container(pod).restart_count == 1 && container(pod).ready
        })
        .await;
    assert_eq!(
        crate::fixture::address(&after),
        crate::fixture::address(&before)
    );
    fixture.finish().await;
}
