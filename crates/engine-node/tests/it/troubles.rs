//! What `kubectl` shows of pods that fail, the same on both grounds.

use foreshore_engine_node::RuntimeKind;
use foreshore_testkit::cluster::Kind;
use foreshore_testkit::wait;
use serde_json::{Value, json};

use crate::fixture::{Fixture, LIMIT};
use crate::limits::kernel_limits;

/// Waits until `kubectl describe` tells exactly this of the pod's container,
/// apart from times, and `kubectl get` has this status.
async fn until_described(fixture: &Fixture, name: &str, status: &str, expected: &str) {
    let last = std::sync::Mutex::new(String::new());
    let told = wait::until("the right words", LIMIT, || async {
        let (_, described, _) = fixture.kubectl(&["describe", "pod", name]).await;
        let (_, listed, _) = fixture.kubectl(&["get", "pod", name, "--no-headers"]).await;
        let listed = listed
            .split_whitespace()
            .nth(2)
            .unwrap_or_default()
            .to_owned();
        let words = format!("{listed}\n{}", of_container(&described));
        last.lock().unwrap().clone_from(&words);
        words == format!("{status}\n{expected}")
    });
    let told = told.await.is_ok();
    assert!(
        told,
        "{}\ninstead of\n{status}\n{expected}",
        last.into_inner().unwrap()
    );
}

/// The part about the container's state, without times; how often it was
/// started again is of the moment.
fn of_container(described: &str) -> String {
    let lines = described
        .lines()
        .skip_while(|line| !line.starts_with("    State:"));
    let mut text = String::new();
    for line in lines {
        let Some((name, value)) = line.trim().split_once(':') else {
            continue;
        };
        match name {
            "Started" | "Finished" | "Message" => {}
            "Restart Count" => {
                let count = if value.trim() == "0" { "none" } else { "some" };
                return format!("{text}Restart Count: {count}\n");
            }
            _ => text.extend([name, ": ", value.trim(), "\n"]),
        }
    }
    text
}

/// Waits until the pod's events have warnings of these reasons with these words.
async fn until_warned(fixture: &Fixture, name: &str, expected: &[(&str, &str)]) {
    for (reason, words) in expected {
        let last = std::sync::Mutex::new(String::new());
        let told = wait::until("the event", LIMIT, || async {
            let (_, described, _) = fixture.kubectl(&["describe", "pod", name]).await;
            let events = described
                .split_once("Events:")
                .map_or("", |(_, events)| events);
            last.lock().unwrap().clone_from(&events.to_owned());
            events.lines().any(|line| {
                line.contains("Warning") && line.contains(reason) && line.contains(words)
            })
        });
        let told = told.await.is_ok();
        assert!(told, "{reason} {words}: {}", last.into_inner().unwrap());
    }
}

pub(crate) async fn kubectl_describes_pods_whose_image_or_program_is_not_there(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Sandbox).await;
    // Nobody listens on this port of the registry's machine.
    let image = "127.0.0.1:9/nothing:1";
    let absent = |pod: &mut Value| pod["spec"]["containers"][0]["image"] = json!(image);
    fixture.pod("absent", &[], absent).await;
    let never = |pod: &mut Value| {
        absent(pod);
        pod["spec"]["containers"][0]["imagePullPolicy"] = json!("Never");
    };
    fixture.pod("never", &[], never).await;
    let lost = |pod: &mut Value| {
        pod["spec"]["containers"][0]["command"] = json!(["/bin/nothing"]);
    };
    fixture.pod("lost", &[], lost).await;
    until_described(
        &fixture,
        "absent",
        "ImagePullBackOff",
        "State: Waiting\nReason: ImagePullBackOff\nReady: False\nRestart Count: none\n",
    )
    .await;
    let expected = [
        ("Failed", "Failed to pull image \"127.0.0.1:9/nothing:1\""),
        ("Failed", "Error: ErrImagePull"),
    ];
    until_warned(&fixture, "absent", &expected).await;
    until_described(
        &fixture,
        "never",
        "ErrImageNeverPull",
        "State: Waiting\nReason: ErrImageNeverPull\nReady: False\nRestart Count: none\n",
    )
    .await;
    until_described(
        &fixture,
        "lost",
        "CrashLoopBackOff",
        "State: Waiting\nReason: CrashLoopBackOff\nLast State: Terminated\nReason: StartError\n\
         Exit Code: 128\nReady: False\nRestart Count: some\n",
    )
    .await;
    let expected = [(
        "BackOff",
        "Back-off restarting failed container main in pod lost",
    )];
    until_warned(&fixture, "lost", &expected).await;
    fixture.finish().await;
}

pub(crate) async fn kubectl_describes_pods_that_end_badly(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Sandbox).await;
    fixture.pod("crashes", &["exit", "3"], |_| {}).await;
    let once = |pod: &mut Value| pod["spec"]["restartPolicy"] = json!("Never");
    fixture.pod("once", &["exit", "4"], once).await;
    until_described(
        &fixture,
        "crashes",
        "CrashLoopBackOff",
        "State: Waiting\nReason: CrashLoopBackOff\nLast State: Terminated\nReason: Error\n\
         Exit Code: 3\nReady: False\nRestart Count: some\n",
    )
    .await;
    let expected = [(
        "BackOff",
        "Back-off restarting failed container main in pod crashes",
    )];
    until_warned(&fixture, "crashes", &expected).await;
    until_described(
        &fixture,
        "once",
        "Error",
        "State: Terminated\nReason: Error\nExit Code: 4\nReady: False\nRestart Count: none\n",
    )
    .await;
    if kernel_limits(&fixture, "kubectl_describes_pods_that_end_badly") {
        let small = |pod: &mut Value| {
            once(pod);
            pod["spec"]["containers"][0]["resources"] =
                json!({ "limits": { "memory": "32Mi", "cpu": "500m" } });
        };
        fixture.pod("hog", &["hog"], small).await;
        until_described(
            &fixture,
            "hog",
            "OOMKilled",
            "State: Terminated\nReason: OOMKilled\nExit Code: 137\nReady: False\nRestart Count: none\n",
        )
        .await;
    }
    fixture.finish().await;
}
