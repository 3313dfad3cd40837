//! Containers that behave badly, and a node that runs short: the others go on.

use foreshore_engine_node::RuntimeKind;
use foreshore_sys::mount;
use foreshore_testkit::cluster::Kind;
use serde_json::json;

use crate::fixture::{Fixture, condition, container, phase, processes_in};

pub(crate) async fn a_port_in_use_is_said_in_the_log_of_who_wanted_it(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Sandbox).await;
    fixture
        .pod("late", &["serve", "10250", "-"], |pod| {
            pod["spec"]["restartPolicy"] = json!("Never");
            // The node's own endpoints have that port of its address.
            pod["spec"]["hostNetwork"] = json!(true);
        })
        .await;
    let pod = fixture.until("late", |pod| phase(pod) == "Failed").await;
    let end = container(&pod).state.unwrap().terminated.unwrap();
    assert_eq!(end.exit_code, 101);
    let log = fixture.log("late").await;
    assert!(log.contains("AddrInUse"), "{log}");
    fixture.finish().await;
}

pub(crate) async fn a_container_that_ignores_the_request_to_end_is_killed(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Sandbox).await;
    // The first process of a namespace ignores what it has no handler for.
    fixture
        .pod("deaf", &["sleep"], |pod| {
            pod["spec"]["terminationGracePeriodSeconds"] = json!(1);
        })
        .await;
    fixture.until_ready("deaf").await;
    fixture.delete("deaf").await;
    fixture.until_gone("deaf").await;
    assert_eq!(processes_in(&fixture.options.root), Vec::<String>::new());
    fixture.finish().await;
}

pub(crate) async fn a_probe_that_hangs_has_failed_and_holds_nobody_up(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Sandbox).await;
    let hangs = json!({ "exec": { "command": ["program", "sleep"] }, "timeoutSeconds": 1, "periodSeconds": 1 });
    fixture
        .pod("hangs", &["sleep"], |pod| {
            pod["spec"]["containers"][0]["readinessProbe"] = hangs;
        })
        .await;
    fixture.pod("calm", &["sleep"], |_| {}).await;
    let words = fixture.until_event("hangs", "Unhealthy").await;
    assert!(words.contains("timed out"), "{words}");
    let pod = fixture.until("hangs", |pod| phase(pod) == "Running").await;
    assert_eq!(condition(&pod, "Ready"), Some("False"));
    fixture.until_ready("calm").await;
    fixture.finish().await;
}

pub(crate) async fn a_line_without_end_takes_neither_memory_nor_disk_without_end(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Sandbox).await;
    let megabytes = 100;
    fixture
        .pod("long", &["line", &megabytes.to_string()], |_| {})
        .await;
    fixture.until_log("long", "told it all").await;
    for pid in pids_of(&fixture, "pod-shim") {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak: u64 = peak
            .unwrap()
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap();
        assert!(peak < 32 * 1024, "{peak} kB");
    }
    let pod = fixture.until_ready("long").await;
    let uid = pod.metadata.uid.unwrap();
    let folder = fixture
        .options
        .root
        .join("pods")
        .join(uid)
        .join("containers/main/0");
    let logs = std::fs::read_dir(folder).unwrap().flatten();
    let kept: u64 = logs
        .filter(|entry| entry.file_name().to_str().unwrap().starts_with("log"))
        .map(|entry| entry.metadata().unwrap().len())
        .sum();
    assert!(kept < (megabytes - 30) << 20, "{kept}");
    fixture.finish().await;
}

fn pids_of(fixture: &Fixture, words: &str) -> Vec<u32> {
    let root = fixture.options.root.to_str().unwrap();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        if line.contains(words) && line.contains(root) {
            found.push(entry.file_name().to_str().unwrap().parse().unwrap());
        }
    }
    found
}

pub(crate) async fn escape_sequences_in_a_log_arrive_as_they_were_and_hide_no_line(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Sandbox).await;
    fixture.pod("paints", &["paint"], |_| {}).await;
    let log = fixture.until_log("paints", "after").await;
    assert_eq!(log, "before\n\u{1b}[2J\u{1b}[31mred\u{7}\rcovered\nafter\n");
    fixture.finish().await;
}

pub(crate) async fn a_full_disk_is_told_and_the_pods_that_run_go_on(ground: Kind) {
    let small = std::sync::OnceLock::new();
    let mut fixture = Fixture::with(ground, RuntimeKind::Sandbox, |options| {
        let folder = options.root.with_file_name("small");
        std::fs::create_dir(&folder).unwrap();
        mount::tmpfs(&folder, "mode=0755,size=2m").unwrap();
        options.root = folder.join("node");
        small.set(folder).unwrap();
    })
    .await;
    fixture.pod("calm", &["sleep"], |_| {}).await;
    fixture.until_ready("calm").await;
    fixture
        .pod("fills", &["fill", "/data/file", "4194304", "stay"], |pod| {
            pod["spec"]["volumes"] = json!([{ "name": "data", "emptyDir": {} }]);
            pod["spec"]["containers"][0]["volumeMounts"] =
                json!([{ "name": "data", "mountPath": "/data" }]);
        })
        .await;
    let folder = small.get().unwrap();
    foreshore_testkit::wait::until("the disk to be full", crate::fixture::LIMIT, || async {
        let about = rustix::fs::statvfs(folder).unwrap();
        about.f_bavail * about.f_frsize < 8192
    })
    .await
    .unwrap();
    fixture.pod("late", &["sleep"], |_| {}).await;
    let told = foreshore_testkit::wait::for_some("words of it", crate::fixture::LIMIT, || async {
        let events = fixture.events("late").await;
        events
            .into_values()
            .find(|words| words.contains("No space left on device"))
    })
    .await;
    told.unwrap();
    let calm = fixture.until_ready("calm").await;
    assert_eq!(container(&calm).restart_count, 0);
    fixture.delete("fills").await;
    fixture.until_gone("fills").await;
    // Room again: what waited for it runs.
    fixture.until_ready("late").await;
    fixture.stop_node().await;
    foreshore_engine_node::remove_everything(&fixture.options.root)
        .await
        .unwrap();
    mount::detach(folder).unwrap();
    fixture.finish().await;
}
