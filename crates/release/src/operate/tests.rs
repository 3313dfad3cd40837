//! Cases for changes of operations.

use foreshore_model::{ExitCode, Intent};
use proptest::prelude::*;

use super::*;
use crate::decide::decide;
use crate::decide::tests::{at, carry_out, person, wish, world};

fn place() -> Place {
    ("dev".parse().unwrap(), "web".parse().unwrap())
}

fn plain(name: &str) -> Workload {
    Workload {
        name: name.into(),
        replicas: 2,
        bounds: None,
    }
}

fn autoscaled(name: &str) -> Workload {
    Workload {
        bounds: Some(Bounds { min: 2, max: 10 }),
        ..plain(name)
    }
}

fn operation(change: OperationsChange) -> Operation {
    Operation {
        place: place(),
        workloads: vec![plain("web")],
        change,
        actor: person("ada"),
        reason: "show".into(),
        key: "k".into(),
        expected: None,
    }
}

fn released() -> World {
    let mut world = world();
    let decision = decide(&world, &wish(1, "dev", Intent::Release), at(1)).unwrap();
    carry_out(&mut world, &decision);
    world
}

fn replicas(count: u32) -> OperationsChange {
    OperationsChange::Replicas {
        workload: None,
        replicas: count,
    }
}

fn floor(count: u32, from: Option<i64>, until: i64) -> OperationsChange {
    OperationsChange::Floor {
        workload: None,
        replicas: count,
        from: from.map(at),
        until: at(until),
    }
}

/// Works a change out and puts it into the world.
fn apply(world: &mut World, operation: &Operation, now: i64) -> Operated {
    let operated = operated(world, operation, at(now)).unwrap();
    world
        .operations
        .insert(place(), operated.operations.clone());
    operated
}

#[test]
fn a_change_is_numbered_and_says_what_from_where() {
    let mut world = released();
    let first = apply(&mut world, &operation(replicas(5)), 2);
    assert_eq!(first.operations.number, 1);
    assert_eq!(first.words, ["scale web from 2 to 5"]);
    let plus = OperationsChange::Step {
        workload: None,
        by: 1,
    };
    let second = apply(&mut world, &operation(plus), 3);
    assert_eq!(second.operations.replicas["web"], 6);
    assert_eq!(second.operations.number, 2);
    let again = apply(&mut world, &operation(replicas(6)), 4);
    assert!(again.words.is_empty(), "{:?}", again.words);
    assert_eq!(again.operations.number, 2);
}

#[test]
fn a_commit_names_the_place_the_number_and_the_reason() {
    let decision = operate(&released(), &operation(replicas(5)), at(2)).unwrap();
    let Decision::Commit(commit) = decision else {
        panic!("{decision:?}")
    };
    assert_eq!(
        commit.message(),
        "[dev/web] scale web from 2 to 5 by ada\n\nOperations: dev/web/1\nActor: ada <ada@example.org>\nReason: show\nIdempotency-Key: k\n"
    );
    assert!(
        matches!(&commit.steps[..], [Step::Write { path, .. }] if path == "environments/dev/web/operations.yaml")
    );
}

#[test]
fn a_floor_remembers_what_to_go_back_to() {
    let mut world = released();
    let shown = apply(&mut world, &operation(floor(20, None, 100)), 10);
    assert_eq!(shown.operations.replicas["web"], 2);
    assert_eq!(shown.operations.replicas_at("web", at(50)), Some(20));
    assert_eq!(shown.operations.replicas_at("web", at(100)), Some(2));
    let later = apply(&mut world, &operation(replicas(3)), 200);
    assert!(later.operations.floors.is_empty(), "what is over goes");
    let none = operated(
        &world,
        &operation(OperationsChange::NoFloor { workload: None }),
        at(200),
    )
    .unwrap();
    assert!(none.words.is_empty());
}

#[test]
fn an_autoscaled_workload_has_bounds_and_another_replicas() {
    let bounds = OperationsChange::Bounds {
        workload: None,
        min: 3,
        max: 20,
    };
    let world = released();
    let auto = |change| Operation {
        workloads: vec![autoscaled("web")],
        ..operation(change)
    };
    let done = operated(&world, &auto(bounds.clone()), at(2)).unwrap();
    assert_eq!(done.operations.bounds["web"], Bounds { min: 3, max: 20 });
    let lifted = operated(&world, &auto(floor(30, None, 100)), at(2)).unwrap();
    assert_eq!(
        lifted.operations.bounds_at("web", at(50)),
        Some(Bounds { min: 30, max: 30 })
    );
    refused(
        &world,
        &auto(replicas(3)),
        ExitCode::Usage,
        "--min and --max",
    );
    refused(&world, &operation(bounds), ExitCode::Usage, "--replicas");
}

#[track_caller]
fn refused(world: &World, operation: &Operation, code: ExitCode, part: &str) {
    let refusal = operated(world, operation, at(50)).unwrap_err();
    let said = format!("{} {}", refusal.message, refusal.hints.join(" "));
    assert_eq!(refusal.code, code, "{said}");
    assert!(said.contains(part), "`{part}` is not in: {said}");
}

#[test]
fn what_cannot_be_meant_is_refused_with_the_way_out() {
    let mut world = released();
    refused(
        &world,
        &operation(replicas(1_001)),
        ExitCode::Usage,
        "more than the 1000",
    );
    refused(
        &world,
        &operation(floor(5, None, 49)),
        ExitCode::Usage,
        "in the future",
    );
    refused(
        &world,
        &operation(floor(5, Some(90), 80)),
        ExitCode::Usage,
        "before it can begin",
    );
    let minus = OperationsChange::Step {
        workload: None,
        by: -3,
    };
    refused(&world, &operation(minus), ExitCode::Usage, "has 2 replicas");
    let named = OperationsChange::Replicas {
        workload: Some("webs".into()),
        replicas: 3,
    };
    refused(
        &world,
        &operation(named),
        ExitCode::NotFound,
        "did you mean `web`?",
    );
    let several = Operation {
        workloads: vec![plain("front"), plain("back")],
        ..operation(replicas(3))
    };
    refused(&world, &several, ExitCode::Usage, "--workload: front, back");
    let elsewhere = Operation {
        place: ("prod".parse().unwrap(), "web".parse().unwrap()),
        ..operation(replicas(3))
    };
    refused(
        &world,
        &elsewhere,
        ExitCode::NotFound,
        "has no release in `prod`",
    );
    apply(&mut world, &operation(replicas(5)), 2);
    let late = Operation {
        expected: Some(0),
        actor: person("bob"),
        ..operation(replicas(6))
    };
    refused(&world, &late, ExitCode::Conflict, "ada moved first");
}

#[test]
fn workloads_and_their_autoscalers_are_found_in_the_files() {
    let deployment = "kind: Deployment\nmetadata: {name: web}\nspec: {replicas: 4}\n---\nkind: StatefulSet\nmetadata: {name: db}\n";
    let autoscaler = "kind: HorizontalPodAutoscaler\nmetadata: {name: web}\nspec: {minReplicas: 2, maxReplicas: 9, scaleTargetRef: {name: web}}\n";
    let found = workloads([("a.yaml", deployment), ("b.yaml", autoscaler)]).unwrap();
    let of = |name: &str, replicas, bounds| Workload {
        name: name.into(),
        replicas,
        bounds,
    };
    assert_eq!(
        found,
        [
            of("web", 4, Some(Bounds { min: 2, max: 9 })),
            of("db", 1, None)
        ]
    );
    assert!(workloads([("a.yaml", "a: [")]).is_err());
}

#[test]
fn pausing_twice_changes_nothing() {
    let mut world = released();
    assert_eq!(
        apply(&mut world, &operation(OperationsChange::Pause), 2).words,
        ["pause"]
    );
    assert!(
        apply(&mut world, &operation(OperationsChange::Pause), 3)
            .words
            .is_empty()
    );
    assert_eq!(
        apply(&mut world, &operation(OperationsChange::Resume), 4).words,
        ["resume"]
    );
}

fn any_change() -> impl Strategy<Value = OperationsChange> {
    prop_oneof![
        (0..2_000_u32).prop_map(replicas),
        (-5..5_i32).prop_map(|by| OperationsChange::Step { workload: None, by }),
        (0..30_u32, 0..100_i64, 0..200_i64).prop_map(|(count, from, until)| floor(
            count,
            Some(from),
            until
        )),
        Just(OperationsChange::NoFloor { workload: None }),
        Just(OperationsChange::Pause),
        Just(OperationsChange::Resume),
    ]
}

proptest! {
    #[test]
    fn numbers_only_grow_with_changes_and_what_is_written_reads_back(changes in prop::collection::vec(any_change(), 1..30)) {
        let mut world = released();
        for (now, change) in (1..).zip(changes) {
            let before = world.operations.get(&place()).cloned().unwrap_or_default();
            let Ok(done) = operated(&world, &operation(change), at(now * 5)) else { continue };
            let grew = u64::from(!done.words.is_empty());
            prop_assert_eq!(done.operations.number, before.number + grew);
            prop_assert!(done.operations.replicas_at("web", at(now * 5)).is_none_or(|count| count <= REPLICAS_MAX));
            let text = yaml::write(&done.operations).unwrap();
            prop_assert_eq!(&yaml::read::<Operations>("operations.yaml", &text).unwrap(), &done.operations);
            world.operations.insert(place(), done.operations);
        }
    }
}
