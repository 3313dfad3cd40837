//! Where daemons run, and how they are replaced, in a simulated world.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Pod;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::simulation::{Weather, World};

fn set(image: &str, strategy: &Value, pod: &Value) -> Value {
    let mut set = json!({
        "metadata": {"name": "log"},
        "spec": {
            "revisionHistoryLimit": 2,
            "selector": {"matchLabels": {"app": "log"}},
            "updateStrategy": strategy,
            "template": {
                "metadata": {"labels": {"app": "log"}},
                "spec": {"containers": [{"name": "log", "image": image}]},
            },
        },
    });
    for (key, value) in pod.as_object().unwrap() {
        set["spec"]["template"]["spec"][key] = value.clone();
    }
    set
}

fn rolling(surge: u32, unavailable: u32) -> Value {
    json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}})
}

fn node(name: &str, extra: &Value) -> Value {
    let mut node =
        json!({"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}, "spec": {}});
    for (key, value) in extra.as_object().unwrap() {
        node[key] = value.clone();
    }
    node
}

fn world(weather: Weather, seed: u64, nodes: &[&str]) -> World {
    let mut world = World::new(weather, seed);
    for name in nodes {
        world.put("Node", node(name, &json!({})));
    }
    world
}

/// The image on every node.
fn images(world: &World) -> BTreeMap<String, Vec<String>> {
    let mut images: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pod in world.all::<Pod>("Pod") {
        let spec = pod.spec.unwrap();
        let image = spec.containers[0].image.clone().unwrap();
        images
            .entry(spec.node_name.unwrap_or_default())
            .or_default()
            .push(image);
    }
    images
}

#[track_caller]
fn check(world: &World, expected: &[(&str, &[&str])]) {
    let expected: BTreeMap<String, Vec<String>> = expected
        .iter()
        .map(|(node, images)| {
            let images = images.iter().map(|&image| image.to_owned());
            ((*node).to_owned(), images.collect())
        })
        .collect();
    assert_eq!(images(world), expected);
}

fn status(world: &World) -> k8s_openapi::api::apps::v1::DaemonSetStatus {
    world.all::<DaemonSet>("DaemonSet")[0]
        .status
        .clone()
        .unwrap_or_default()
}

fn ready(world: &World) -> usize {
    let pods = world.all::<Pod>("Pod").into_iter();
    pods.filter(|pod| crate::pod_is_ready(pod) && crate::pod_is_active(pod))
        .count()
}

#[test]
fn every_node_gets_one_and_a_new_node_too() {
    let mut world = world(Weather::Calm, 1, &["a", "b"]);
    world.put("DaemonSet", set("log:1", &rolling(0, 1), &json!({})));
    world.settle(|_| ());
    check(&world, &[("a", &["log:1"]), ("b", &["log:1"])]);
    world.put("Node", node("c", &json!({})));
    world.settle(|_| ());
    check(
        &world,
        &[("a", &["log:1"]), ("b", &["log:1"]), ("c", &["log:1"])],
    );
    let status = status(&world);
    assert_eq!(status.desired_number_scheduled, 3);
    assert_eq!(status.number_ready, 3);
    assert_eq!(status.number_available, Some(3));
    assert_eq!(status.updated_number_scheduled, Some(3));
}

#[test]
fn taints_and_selectors_keep_it_off_and_labels_let_it_on() {
    let mut world = world(Weather::Calm, 1, &["a"]);
    let tainted = json!({"spec": {"taints": [{"key": "gpu", "effect": "NoSchedule"}]}});
    world.put("Node", node("b", &tainted));
    let cordoned = json!({"spec": {"unschedulable": true, "taints": [
        {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"},
        {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"},
    ]}});
    world.put("Node", node("c", &cordoned));
    world.put("DaemonSet", set("log:1", &rolling(0, 1), &json!({})));
    world.settle(|_| ());
    check(&world, &[("a", &["log:1"]), ("c", &["log:1"])]);
    let chosen = json!({"nodeSelector": {"kubernetes.io/hostname": "a"}});
    world.put("DaemonSet", set("log:1", &rolling(0, 1), &chosen));
    world.settle(|_| ());
    check(&world, &[("a", &["log:1"])]);
}

#[test]
fn a_taint_that_forbids_new_pods_leaves_the_old_one_misplaced() {
    let mut world = world(Weather::Calm, 1, &["a"]);
    world.put("DaemonSet", set("log:1", &rolling(0, 1), &json!({})));
    world.settle(|_| ());
    let tainted = json!({"spec": {"taints": [{"key": "gpu", "effect": "NoSchedule"}]}});
    world.put("Node", node("a", &tainted));
    world.settle(|_| ());
    check(&world, &[("a", &["log:1"])]);
    assert_eq!(status(&world).number_misscheduled, 1);
    assert_eq!(status(&world).desired_number_scheduled, 0);
}

#[test]
fn a_rolling_update_ends_one_old_pod_at_a_time() {
    let mut world = world(Weather::Calm, 5, &["a", "b", "c"]);
    world.put("DaemonSet", set("log:1", &rolling(0, 1), &json!({})));
    world.settle(|_| ());
    world.put("DaemonSet", set("log:2", &rolling(0, 1), &json!({})));
    world.settle(|world| assert!(ready(world) >= 2));
    check(
        &world,
        &[("a", &["log:2"]), ("b", &["log:2"]), ("c", &["log:2"])],
    );
}

#[test]
fn with_a_surge_the_new_pod_comes_before_the_old_goes() {
    let mut world = world(Weather::Calm, 5, &["a", "b", "c"]);
    world.put("DaemonSet", set("log:1", &rolling(1, 0), &json!({})));
    world.settle(|_| ());
    world.put("DaemonSet", set("log:2", &rolling(1, 0), &json!({})));
    world.settle(|world| {
        assert!(ready(world) >= 3);
        assert!(world.names("Pod").len() <= 6);
    });
    check(
        &world,
        &[("a", &["log:2"]), ("b", &["log:2"]), ("c", &["log:2"])],
    );
}

#[test]
fn on_delete_waits_for_somebody_to_delete() {
    let on_delete = json!({"type": "OnDelete"});
    let mut world = world(Weather::Calm, 1, &["a"]);
    world.put("DaemonSet", set("log:1", &on_delete, &json!({})));
    world.settle(|_| ());
    world.put("DaemonSet", set("log:2", &on_delete, &json!({})));
    world.settle(|_| ());
    check(&world, &[("a", &["log:1"])]);
    let pod = world.names("Pod").remove(0);
    world.remove("Pod", &pod);
    world.settle(|_| ());
    check(&world, &[("a", &["log:2"])]);
}

#[test]
fn a_failed_daemon_is_replaced_and_that_is_told() {
    let mut world = world(Weather::Calm, 1, &["a"]);
    world.put("DaemonSet", set("log:1", &rolling(0, 1), &json!({})));
    world.settle(|_| ());
    let pod = world.names("Pod").remove(0);
    world.set_status("Pod", &pod, json!({"phase": "Failed"}));
    world.settle(|_| ());
    assert!(!world.names("Pod").contains(&pod));
    let expected = format!(
        "FailedDaemonPod: Found failed daemon pod dev/{pod} on node a, will try to kill it"
    );
    assert!(world.told.contains(&expected), "{:?}", world.told);
}

#[test]
fn a_pod_is_made_for_its_node_and_tolerates_its_troubles() {
    let mut world = world(Weather::Calm, 1, &["a"]);
    world.put("DaemonSet", set("log:1", &rolling(0, 1), &json!({})));
    world.settle(|_| ());
    let pod = world.get("Pod", &world.names("Pod")[0]).clone();
    assert_eq!(pod["spec"]["tolerations"].as_array().unwrap().len(), 6);
    let revision = world.get("ControllerRevision", &world.names("ControllerRevision")[0]);
    assert_eq!(
        pod["metadata"]["labels"]["controller-revision-hash"],
        revision["metadata"]["labels"]["controller-revision-hash"]
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(8) })]

    #[test]
    fn rough_weather_ends_where_calm_weather_ends(
        seed: u64,
        surge in 0..3_u32,
        unavailable in 0..3_u32,
        versions in 1..4_u32,
    ) {
        let run = |weather| {
            let mut world = world(weather, seed, &["a", "b", "c", "d"]);
            for version in 0..versions {
                let image = format!("log:{version}");
                world.put("DaemonSet", set(&image, &rolling(surge, unavailable), &json!({})));
                world.settle(|_| ());
            }
            images(&world)
        };
        prop_assert_eq!(run(Weather::Rough), run(Weather::Calm));
    }
}
