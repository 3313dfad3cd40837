//! Order, rollouts, claims and history of `StatefulSets`, in a simulated world.

use jiff::SignedDuration;
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::simulation::{Weather, World};

fn set(replicas: i32, image: &str, extra: &Value) -> Value {
    let mut set = json!({
        "metadata": {"name": "db"},
        "spec": {
            "replicas": replicas,
            "serviceName": "db",
            "revisionHistoryLimit": 2,
            "selector": {"matchLabels": {"app": "db"}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            "template": {
                "metadata": {"labels": {"app": "db"}},
                "spec": {"containers": [{"name": "db", "image": image}]},
            },
        },
    });
    for (key, value) in extra.as_object().unwrap() {
        set["spec"][key] = value.clone();
    }
    set
}

fn started(spec: &Value) -> World {
    let mut world = World::new(Weather::Calm, 7);
    world.put("StatefulSet", spec.clone());
    world.settle(|_| ());
    world
}

/// Name and image of every pod.
fn pods(world: &World) -> Vec<(String, String)> {
    let pods = world.all::<Pod>("Pod").into_iter();
    pods.map(|pod| {
        let image = pod.spec.unwrap().containers[0].image.clone();
        (pod.metadata.name.unwrap(), image.unwrap())
    })
    .collect()
}

#[track_caller]
fn check(world: &World, expected: &[(&str, &str)]) {
    let found = pods(world);
    let found: Vec<_> = found
        .iter()
        .map(|(one, two)| (one.as_str(), two.as_str()))
        .collect();
    assert_eq!(found, expected);
}

fn status(world: &World) -> k8s_openapi::api::apps::v1::StatefulSetStatus {
    world.all::<StatefulSet>("StatefulSet")[0]
        .status
        .clone()
        .unwrap_or_default()
}

/// No pod is there before all of lower ordinals were ready, and at most one is
/// not ready.
fn in_order(world: &World) {
    let pods = world.all::<Pod>("Pod");
    let unready = pods.iter().filter(|pod| !crate::pod_is_ready(pod)).count();
    assert!(unready <= 1, "{:?}", self::pods(world));
}

#[test]
fn pods_are_made_one_after_the_other_with_numbers() {
    let mut world = World::new(Weather::Calm, 1);
    world.put("StatefulSet", set(3, "db:1", &json!({})));
    world.settle(in_order);
    check(
        &world,
        &[("db-0", "db:1"), ("db-1", "db:1"), ("db-2", "db:1")],
    );
    let pod = world.get("Pod", "db-2");
    assert_eq!(pod["spec"]["hostname"], "db-2");
    assert_eq!(pod["spec"]["subdomain"], "db");
    assert_eq!(
        pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"],
        "2"
    );
    assert_eq!(
        pod["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"],
        "db-2"
    );
    let status = status(&world);
    assert_eq!((status.replicas, status.ready_replicas), (3, Some(3)));
    assert_eq!(status.current_revision, status.update_revision);
}

#[test]
fn a_broken_pod_holds_up_those_after_it_unless_order_does_not_matter() {
    let broken = started(&set(3, "broken:1", &json!({})));
    check(&broken, &[("db-0", "broken:1")]);
    let parallel = json!({"podManagementPolicy": "Parallel"});
    let broken = started(&set(2, "broken:1", &parallel));
    check(&broken, &[("db-0", "broken:1"), ("db-1", "broken:1")]);
}

#[test]
fn numbers_start_where_the_spec_says() {
    let world = started(&set(2, "db:1", &json!({"ordinals": {"start": 5}})));
    check(&world, &[("db-5", "db:1"), ("db-6", "db:1")]);
}

#[test]
fn a_new_template_replaces_the_highest_number_first() {
    let mut world = started(&set(3, "db:1", &json!({})));
    world.put("StatefulSet", set(3, "db:2", &json!({})));
    world.settle(|world| {
        in_order(world);
        let images: Vec<_> = pods(world).into_iter().map(|(_, image)| image).collect();
        assert!(images.is_sorted(), "{images:?}");
    });
    check(
        &world,
        &[("db-0", "db:2"), ("db-1", "db:2"), ("db-2", "db:2")],
    );
    assert_eq!(world.names("ControllerRevision").len(), 2);
}

#[test]
fn a_partition_keeps_lower_numbers_at_the_old_template() {
    let mut world = started(&set(3, "db:1", &json!({})));
    let partition =
        json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}});
    world.put("StatefulSet", set(3, "db:2", &partition));
    world.settle(in_order);
    check(
        &world,
        &[("db-0", "db:1"), ("db-1", "db:1"), ("db-2", "db:2")],
    );
    // A lost pod below the partition comes back as it was.
    world.remove("Pod", "db-0");
    world.settle(|_| ());
    check(
        &world,
        &[("db-0", "db:1"), ("db-1", "db:1"), ("db-2", "db:2")],
    );
    assert_ne!(
        status(&world).current_revision,
        status(&world).update_revision
    );
}

#[test]
fn on_delete_waits_for_somebody_to_delete() {
    let on_delete = json!({"updateStrategy": {"type": "OnDelete"}});
    let mut world = started(&set(2, "db:1", &on_delete));
    world.put("StatefulSet", set(2, "db:2", &on_delete));
    world.settle(|_| ());
    check(&world, &[("db-0", "db:1"), ("db-1", "db:1")]);
    world.remove("Pod", "db-0");
    world.settle(|_| ());
    check(&world, &[("db-0", "db:2"), ("db-1", "db:1")]);
}

#[test]
fn several_may_be_unavailable_where_the_spec_allows_it() {
    let two = json!({
        "podManagementPolicy": "Parallel",
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0, "maxUnavailable": 2}},
    });
    let mut world = started(&set(4, "db:1", &two));
    world.put("StatefulSet", set(4, "db:2", &two));
    world.settle(|world| {
        let ready = world.all::<Pod>("Pod").into_iter();
        let ready = ready.filter(|pod| crate::pod_is_ready(pod) && crate::pod_is_active(pod));
        assert!(ready.count() >= 2);
    });
    assert!(pods(&world).iter().all(|(_, image)| image == "db:2"));
}

#[test]
fn an_old_template_returns_under_its_old_revision_with_a_new_number() {
    let mut world = started(&set(1, "db:1", &json!({})));
    let first = status(&world).update_revision;
    world.put("StatefulSet", set(1, "db:2", &json!({})));
    world.settle(|_| ());
    world.put("StatefulSet", set(1, "db:1", &json!({})));
    world.settle(|_| ());
    assert_eq!(status(&world).current_revision, first);
    let mut numbers: Vec<_> = world
        .all::<ControllerRevision>("ControllerRevision")
        .into_iter()
        .map(|revision| revision.revision)
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [2, 3]);
}

#[test]
fn history_beyond_the_limit_is_deleted() {
    let mut world = started(&set(1, "db:1", &json!({})));
    for version in 2..7 {
        world.put("StatefulSet", set(1, &format!("db:{version}"), &json!({})));
        world.settle(|_| ());
    }
    assert_eq!(world.names("ControllerRevision").len(), 3);
}

fn with_claims(replicas: i32, policy: &Value) -> Value {
    set(
        replicas,
        "db:1",
        &json!({
            "volumeClaimTemplates": [{
                "metadata": {"name": "data"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
            }],
            "persistentVolumeClaimRetentionPolicy": policy,
        }),
    )
}

#[test]
fn every_pod_has_its_claim_and_a_scaled_set_keeps_it() {
    let mut world = started(&with_claims(2, &json!({})));
    assert_eq!(
        world.names("PersistentVolumeClaim"),
        ["data-db-0", "data-db-1"]
    );
    let volume = &world.get("Pod", "db-1")["spec"]["volumes"][0];
    assert_eq!(volume["persistentVolumeClaim"]["claimName"], "data-db-1");
    world.put("StatefulSet", with_claims(1, &json!({})));
    world.settle(|_| ());
    assert_eq!(world.names("Pod"), ["db-0"]);
    assert_eq!(world.names("PersistentVolumeClaim").len(), 2);
}

#[test]
fn a_retention_policy_hands_claims_to_the_set_or_to_the_pod() {
    let policy = json!({"whenDeleted": "Delete", "whenScaled": "Delete"});
    let mut world = started(&with_claims(2, &policy));
    let owner = |world: &World, claim: &str| {
        let claims = world.all::<PersistentVolumeClaim>("PersistentVolumeClaim");
        let claim = claims
            .into_iter()
            .find(|one| one.metadata.name.as_deref() == Some(claim));
        let owners = claim.unwrap().metadata.owner_references.unwrap_or_default();
        owners
            .into_iter()
            .map(|owner| owner.kind)
            .collect::<Vec<_>>()
    };
    assert_eq!(owner(&world, "data-db-1"), ["StatefulSet"]);
    world.put("StatefulSet", with_claims(1, &policy));
    world.settle(|_| ());
    assert_eq!(owner(&world, "data-db-0"), ["StatefulSet"]);
    assert_eq!(owner(&world, "data-db-1"), ["Pod"]);
}

#[test]
fn a_pod_that_ended_is_replaced() {
    let mut world = started(&set(2, "db:1", &json!({})));
    let before = world.get("Pod", "db-0")["metadata"]["uid"].clone();
    world.set_status("Pod", "db-0", json!({"phase": "Failed"}));
    world.settle(|_| ());
    check(&world, &[("db-0", "db:1"), ("db-1", "db:1")]);
    assert_ne!(world.get("Pod", "db-0")["metadata"]["uid"], before);
}

#[test]
fn the_next_pod_waits_until_the_one_before_is_available() {
    let mut world = World::new(Weather::Calm, 3);
    world.put(
        "StatefulSet",
        set(2, "db:1", &json!({"minReadySeconds": 86_400})),
    );
    world.settle(|_| ());
    check(&world, &[("db-0", "db:1")]);
    world.after(SignedDuration::from_hours(24));
    check(&world, &[("db-0", "db:1"), ("db-1", "db:1")]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(8) })]

    #[test]
    fn rough_weather_ends_where_calm_weather_ends(seed: u64, sizes in prop::collection::vec(0..5_i32, 1..4)) {
        let run = |weather| {
            let mut world = World::new(weather, seed);
            for (version, size) in sizes.iter().enumerate() {
                world.put("StatefulSet", set(*size, &format!("db:{version}"), &json!({})));
                world.settle(|_| ());
            }
            pods(&world)
        };
        prop_assert_eq!(run(Weather::Rough), run(Weather::Calm));
    }
}
