//! What the kernel keeps containers to, and what happens where it does not.

use foreshore_engine_node::RuntimeKind;
use foreshore_sys::cgroup::Layout;
use foreshore_testkit::cluster::Kind;
use foreshore_testkit::environment;
use serde_json::json;

use crate::fixture::{Fixture, container, control_groups, phase};

/// Whether this machine gives us what the test is about; if not, it says so.
pub(crate) fn kernel_limits(fixture: &Fixture, test: &str) -> bool {
    let report = foreshore_engine_node::probe(&fixture.options.root);
    let mut lines = report.lines.iter();
    let line = lines.find(|line| line.starts_with("limits")).unwrap();
    let there = line.contains("memory limits") && line.contains("process limits");
    if !there {
        environment::say(&format!("not run: {test}: {line}"));
    }
    there
}

pub(crate) async fn a_memory_hog_is_killed_and_said_to_be_so(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Sandbox).await;
    if kernel_limits(&fixture, "a_memory_hog_is_killed_and_said_to_be_so") {
        fixture.pod("calm", &["sleep"], |_| {}).await;
        fixture
            .pod("hog", &["hog"], |pod| {
                pod["spec"]["restartPolicy"] = json!("Never");
                pod["spec"]["containers"][0]["resources"] =
                    json!({ "limits": { "memory": "32Mi", "cpu": "500m" } });
            })
            .await;
        let pod = fixture.until("hog", |pod| phase(pod) == "Failed").await;
        let end = container(&pod).state.unwrap().terminated.unwrap();
        assert_eq!(
            (end.exit_code, end.reason.as_deref()),
            (137, Some("OOMKilled"))
        );
        let calm = fixture.until_ready("calm").await;
        assert_eq!(container(&calm).restart_count, 0);
    }
    fixture.finish().await;
}

pub(crate) async fn a_fork_bomb_stays_within_its_pod(ground: Kind) {
    let fixture = Fixture::with(ground, RuntimeKind::Sandbox, |options| {
        options.pod_processes_max = 20;
    })
    .await;
    if kernel_limits(&fixture, "a_fork_bomb_stays_within_its_pod") {
        fixture.pod("calm", &["sleep"], |_| {}).await;
        fixture.pod("bomb", &["bomb"], |_| {}).await;
        fixture.until_log("bomb", "no more").await;
        let calm = fixture.until_ready("calm").await;
        assert_eq!(container(&calm).restart_count, 0);
        // One level for the node, then one group per pod and per container.
        let groups = control_groups(&fixture.options.root);
        let bomb = groups.iter().filter(|path| path.ends_with("main.0"));
        assert!(bomb.count() >= 2, "{groups:?}");
        fixture.delete("bomb").await;
        fixture.until_gone("bomb").await;
    }
    fixture.finish().await;
}

pub(crate) async fn without_control_groups_pods_run_and_say_what_they_go_without(ground: Kind) {
    let fixture = Fixture::with(ground, RuntimeKind::Process, |options| {
        options.control_groups = Layout::none();
    })
    .await;
    fixture
        .pod("free", &["sleep"], |pod| {
            pod["spec"]["containers"][0]["resources"] =
                json!({ "limits": { "memory": "32Mi", "cpu": "500m" } });
        })
        .await;
    fixture.until_ready("free").await;
    let words = fixture.until_event("free", "LimitsNotEnforced").await;
    assert_eq!(
        words,
        "this node cannot enforce limits.cpu and limits.memory; the pod runs without"
    );
    fixture.finish().await;
}

pub(crate) async fn control_groups_of_a_pod_that_vanished_meanwhile_are_collected(ground: Kind) {
    let mut fixture = Fixture::new(ground, RuntimeKind::Sandbox).await;
    fixture.pod("goes", &["sleep"], |_| {}).await;
    let pod = fixture.until_ready("goes").await;
    let uid = pod.metadata.uid.unwrap();
    fixture.kill_node().await;
    let force = kube::api::DeleteParams::default().grace_period(0);
    fixture.pods().delete("goes", &force).await.unwrap();
    fixture.until_gone("goes").await;
    fixture.start_node();
    foreshore_testkit::wait::until("the groups to go", crate::fixture::LIMIT, || async {
        let left = control_groups(&fixture.options.root);
        !left
            .iter()
            .any(|path| path.to_str().unwrap().contains(&uid))
    })
    .await
    .unwrap();
    fixture.finish().await;
}
