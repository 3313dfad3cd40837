//! Rules and properties of Deployments, in a simulated world.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::simulation::{World, within_room};
use super::*;
use crate::change::Part;
use jiff::SignedDuration;

fn deployment(replicas: i32, surge: &str, unavailable: &str) -> Value {
    let number = |text: &str| {
        text.parse::<i32>()
            .map_or_else(|_| json!(text), |number| json!(number))
    };
    json!({
        "metadata": {"name": "web", "namespace": "dev"},
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 2,
            "progressDeadlineSeconds": 600,
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {
                "maxSurge": number(surge), "maxUnavailable": number(unavailable),
            }},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "web:1"}]},
            },
        },
    })
}

fn set_image(deployment: &mut Deployment, image: &str) {
    let template = &mut deployment.spec.as_mut().unwrap().template;
    template.spec.as_mut().unwrap().containers[0].image = Some(image.to_owned());
}

fn settled(deployment: &Value, seed: u64) -> World {
    let mut world = World::new(deployment, seed);
    world.settle(within_room);
    world
}

fn condition(world: &World, kind: &str) -> (String, String) {
    let status = world.deployment.status.clone().unwrap_or_default();
    let condition = status
        .conditions
        .unwrap_or_default()
        .into_iter()
        .find(|one| one.type_ == kind)
        .unwrap();
    (condition.status, condition.reason.unwrap_or_default())
}

#[track_caller]
fn check_room(replicas: i32, surge: &str, unavailable: &str, expected: (i32, i32)) {
    let deployment: Deployment =
        serde_json::from_value(deployment(replicas, surge, unavailable)).unwrap();
    let room = room(deployment.spec.as_ref().unwrap());
    assert_eq!((room.surge, room.unavailable), expected);
}

#[test]
fn surge_rounds_up_and_unavailable_down() {
    check_room(10, "25%", "25%", (3, 2));
    check_room(4, "25%", "25%", (1, 1));
    check_room(1, "25%", "25%", (1, 0));
    check_room(3, "2", "1", (2, 1));
}

#[test]
fn surge_and_unavailable_are_never_both_zero() {
    check_room(3, "0", "25%", (0, 1));
    check_room(3, "0", "0", (0, 1));
    check_room(0, "0", "0", (0, 0));
}

#[test]
fn a_new_deployment_gets_one_set_named_after_its_template() {
    let world = World::new(&deployment(3, "1", "0"), 1);
    let created: Vec<_> = world
        .decide_deployment()
        .into_iter()
        .filter_map(|change| match change {
            Change::Create { body, .. } => Some(body),
            _ => None,
        })
        .collect();
    let [set] = created.as_slice() else {
        panic!("{created:#?}")
    };
    let hash = set["metadata"]["labels"]["pod-template-hash"]
        .as_str()
        .unwrap();
    assert_eq!(set["metadata"]["name"], format!("web-{hash}"));
    assert_eq!(set["spec"]["replicas"], 3);
    assert_eq!(
        set["spec"]["selector"]["matchLabels"]["pod-template-hash"],
        hash
    );
    assert_eq!(set["metadata"]["annotations"][REVISION_ANNOTATION], "1");
    assert_eq!(set["metadata"]["ownerReferences"][0]["uid"], "deployment");
}

#[test]
fn a_finished_rollout_says_so() {
    let world = settled(&deployment(3, "1", "0"), 2);
    assert_eq!(
        condition(&world, "Progressing"),
        ("True".into(), "NewReplicaSetAvailable".into())
    );
    assert_eq!(
        condition(&world, "Available"),
        ("True".into(), "MinimumReplicasAvailable".into())
    );
    let status = world.deployment.status.clone().unwrap();
    assert_eq!(status.updated_replicas, Some(3));
    assert_eq!(status.observed_generation, Some(1));
    let annotations = world.deployment.metadata.annotations.unwrap();
    assert_eq!(annotations[REVISION_ANNOTATION], "1");
}

#[test]
fn a_template_that_returns_gets_its_old_set_and_a_new_revision() {
    let mut world = settled(&deployment(2, "1", "0"), 3);
    let first = world.sets.keys().next().unwrap().clone();
    world.edit(|deployment| set_image(deployment, "web:2"));
    world.settle(within_room);
    world.edit(|deployment| set_image(deployment, "web:1"));
    world.settle(within_room);
    assert_eq!(world.sets.len(), 2);
    assert_eq!(world.sizes(), [("web:1".to_owned(), 2)]);
    let annotations = world.sets[&first].metadata.annotations.clone().unwrap();
    assert_eq!(annotations[REVISION_ANNOTATION], "3");
    assert_eq!(
        annotations["deployment.kubernetes.io/revision-history"],
        "1"
    );
}

#[test]
fn sets_beyond_the_history_limit_are_deleted() {
    let mut world = settled(&deployment(1, "1", "0"), 4);
    for version in 2..7 {
        world.edit(|deployment| set_image(deployment, &format!("web:{version}")));
        world.settle(within_room);
    }
    assert_eq!(world.sets.len(), 3);
}

#[test]
fn a_paused_deployment_scales_but_does_not_roll_out() {
    let mut world = settled(&deployment(2, "1", "0"), 5);
    world.edit(|deployment| {
        deployment.spec.as_mut().unwrap().paused = Some(true);
        deployment.spec.as_mut().unwrap().replicas = Some(4);
        set_image(deployment, "web:2");
    });
    world.settle(|_| ());
    assert_eq!(world.sizes(), [("web:1".to_owned(), 4)]);
    assert_eq!(
        condition(&world, "Progressing"),
        ("Unknown".into(), "DeploymentPaused".into())
    );
    world.edit(|deployment| deployment.spec.as_mut().unwrap().paused = None);
    world.settle(within_room);
    assert_eq!(world.sizes(), [("web:2".to_owned(), 4)]);
    assert_eq!(
        condition(&world, "Progressing"),
        ("True".into(), "NewReplicaSetAvailable".into())
    );
}

#[test]
fn recreate_starts_no_new_pod_before_the_last_old_one_ended() {
    let mut spec = deployment(3, "1", "0");
    spec["spec"]["strategy"] = json!({"type": "Recreate"});
    let mut world = settled(&spec, 6);
    world.edit(|deployment| set_image(deployment, "web:2"));
    world.settle(|world| {
        let running: Vec<_> = world
            .sets
            .values()
            .filter(|set| world.owned_pods(set) > 0)
            .collect();
        assert!(running.len() <= 1, "old and new pods run side by side");
    });
    assert_eq!(world.sizes(), [("web:2".to_owned(), 3)]);
}

#[test]
fn a_rollout_without_progress_exceeds_its_deadline() {
    let mut world = World::new(&deployment(1, "1", "0"), 7);
    let changes = world.decide_deployment();
    world.carry_out(changes);
    let changes = world.decide_deployment();
    assert!(
        changes
            .iter()
            .any(|change| matches!(change, Change::Requeue { .. })),
        "{changes:#?}"
    );
    world.now += SignedDuration::from_secs(601);
    let changes = world.decide_deployment();
    world.carry_out(changes);
    assert_eq!(
        condition(&world, "Progressing"),
        ("False".into(), "ProgressDeadlineExceeded".into())
    );
    assert_eq!(
        condition(&world, "Available"),
        ("False".into(), "MinimumReplicasUnavailable".into())
    );
}

#[test]
fn a_name_taken_by_somebody_else_is_avoided_by_counting_collisions() {
    let mut world = settled(&deployment(1, "1", "0"), 8);
    for set in world.sets.values_mut() {
        set.metadata.owner_references.as_mut().unwrap()[0].uid = "other".to_owned();
    }
    world.settle(|_| ());
    assert_eq!(
        world.deployment.status.as_ref().unwrap().collision_count,
        Some(1)
    );
    assert_eq!(world.sets.len(), 2);
}

#[test]
fn an_orphan_with_matching_labels_is_adopted_after_a_live_read() {
    let mut world = settled(&deployment(1, "1", "0"), 9);
    for set in world.sets.values_mut() {
        set.metadata.owner_references = None;
    }
    let changes = world.decide_deployment();
    assert!(
        matches!(changes[0], Change::ConfirmLive { .. }),
        "{changes:#?}"
    );
    assert!(
        matches!(
            &changes[1],
            Change::Patch {
                part: Part::Main,
                ..
            }
        ),
        "{changes:#?}"
    );
}

#[test]
fn a_resize_in_the_middle_of_a_rollout_is_shared_in_proportion() {
    let mut world = settled(&deployment(10, "3", "2"), 10);
    world.edit(|deployment| set_image(deployment, "web:broken"));
    for _ in 0..4 {
        let changes = world.decide_deployment();
        world.carry_out(changes);
    }
    assert_eq!(
        sorted(&world),
        [("web:1".into(), 8), ("web:broken".into(), 5)]
    );
    world.edit(|deployment| deployment.spec.as_mut().unwrap().replicas = Some(20));
    let changes = world.decide_deployment();
    world.carry_out(changes);
    assert_eq!(
        sorted(&world),
        [("web:1".into(), 14), ("web:broken".into(), 9)]
    );
}

fn sorted(world: &World) -> Vec<(String, i32)> {
    let mut sizes = world.sizes();
    sizes.sort();
    sizes
}

/// Pods become ready in any order, but never fail: then the minimum must hold too.
fn never_below(minimum: i32) -> impl Fn(&World) {
    move |world: &World| {
        within_room(world);
        assert!(
            world.ready() >= minimum,
            "{} ready pods are below {minimum}",
            world.ready()
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn a_rolling_update_stays_within_surge_and_minimum(
        seed: u64,
        replicas in 1..9_i32,
        surge in 0..4_i32,
        unavailable in 0..4_i32,
    ) {
        let spec = deployment(replicas, &surge.to_string(), &unavailable.to_string());
        let mut world = settled(&spec, seed);
        let minimum = replicas - room(world.deployment.spec.as_ref().unwrap()).unavailable;
        world.edit(|deployment| set_image(deployment, "web:2"));
        world.settle(never_below(minimum));
        prop_assert_eq!(world.sizes(), vec![("web:2".to_owned(), replicas)]);
        prop_assert_eq!(world.ready(), replicas);
        prop_assert_eq!(condition(&world, "Progressing").1, "NewReplicaSetAvailable");
    }

    #[test]
    fn a_settled_deployment_asks_for_nothing(seed: u64, replicas in 0..6_i32) {
        let world = settled(&deployment(replicas, "25%", "25%"), seed);
        prop_assert_eq!(world.decide_deployment(), vec![]);
        for name in world.sets.keys() {
            prop_assert_eq!(world.decide_set(name), vec![]);
        }
    }

    #[test]
    fn resizes_and_new_versions_in_any_order_end_at_the_last_one(
        seed: u64,
        edits in prop::collection::vec((0..7_i32, 1..4_u8), 1..6),
    ) {
        let mut world = World::new(&deployment(2, "1", "1"), seed);
        for &(replicas, version) in &edits {
            world.edit(|deployment| {
                deployment.spec.as_mut().unwrap().replicas = Some(replicas);
                set_image(deployment, &format!("web:{version}"));
            });
            for _ in 0..3 {
                let changes = world.decide_deployment();
                world.carry_out(changes);
            }
        }
        world.settle(|_| ());
        let &(replicas, version) = edits.last().unwrap();
        prop_assert_eq!(world.ready(), replicas);
        let expected: Vec<_> = (replicas > 0).then(|| (format!("web:{version}"), replicas)).into_iter().collect();
        prop_assert_eq!(world.sizes(), expected);
    }
}
