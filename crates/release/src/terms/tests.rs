//! Cases for eligibility: verdicts, soak, freezes.

use std::sync::Arc;

use foreshore_model::freeze::{Effect, Freeze, Window};
use foreshore_model::operations::Changed;
use foreshore_model::{Check, Digest, ExitCode};
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::commit::Decision;
use crate::decide::decide;
use crate::decide::tests::{at, candidate, carry_out, person, verify, wish, world};
use crate::world::Place;

fn place(environment: &str) -> Place {
    (environment.parse().unwrap(), "web".parse().unwrap())
}

fn promote() -> Wish {
    let from = "dev".parse().unwrap();
    wish(1, "prod", Intent::Promote { from })
}

/// Artifact 1 is healthy in dev since second 1.
fn proven() -> World {
    let mut world = world();
    world
        .environments
        .values_mut()
        .for_each(|environment| environment.approvals.count = 0);
    let decision = decide(&world, &wish(1, "dev", Intent::Release), at(1)).unwrap();
    carry_out(&mut world, &decision);
    let release = world.releases[&place("dev")].clone();
    verify(&mut world, &release);
    world.trees.insert(place("dev"), "tree".into());
    world
}

fn verdict(check: &str, passed: bool, tree: &str, second: i64) -> Verdict {
    Verdict {
        check: check.into(),
        artifact: candidate(1, "main").digest,
        environment: place("dev").0,
        tree: tree.into(),
        passed,
        unknown: false,
        gate: true,
        summary: String::new(),
        at: at(second),
    }
}

fn require(world: &mut World, checks: &[&str]) {
    let policy = Policy::RequireVerdicts {
        environment: place("prod").0,
        checks: checks.iter().map(|check| (*check).to_owned()).collect(),
        services: vec![],
    };
    world.policies.insert("proof".parse().unwrap(), policy);
}

#[track_caller]
fn denied(world: &World, now: i64, part: &str) {
    let refusal = decide(world, &promote(), at(now)).unwrap_err();
    assert_eq!(refusal.code, ExitCode::Refused);
    assert!(
        refusal.message.contains(part),
        "`{part}` is not in: {refusal}"
    );
    assert_eq!(
        refusal.hints,
        ["`foreshore explain release web -e prod` shows every condition"]
    );
}

#[track_caller]
fn allowed(world: &World, now: i64) {
    let decision = decide(world, &promote(), at(now)).unwrap();
    assert!(matches!(decision, Decision::Commit(_)), "{decision:?}");
}

#[test]
fn a_required_verdict_must_have_passed_on_these_very_bytes() {
    let mut world = proven();
    require(&mut world, &["smoke"]);
    denied(&world, 5, "check `smoke` has no verdict");
    world
        .verdicts
        .insert(place("dev"), vec![verdict("smoke", false, "tree", 2)]);
    denied(&world, 5, "check `smoke` failed in `dev`");
    world
        .verdicts
        .get_mut(&place("dev"))
        .unwrap()
        .push(verdict("smoke", true, "tree", 3));
    allowed(&world, 5);
    world.trees.insert(place("dev"), "edited".into());
    denied(&world, 5, "before its manifests were changed by hand");
    world.trees.insert(place("dev"), "tree".into());
    world
        .verdicts
        .get_mut(&place("dev"))
        .unwrap()
        .push(verdict("smoke", false, "tree", 4));
    denied(&world, 5, "check `smoke` failed");
    let mut other = verdict("smoke", true, "tree", 9);
    other.artifact = Digest::of(b"other");
    world.verdicts.insert(place("dev"), vec![other]);
    denied(&world, 10, "has no verdict");
}

#[test]
fn a_release_names_the_verdicts_it_rested_on() {
    let mut world = proven();
    require(&mut world, &["smoke"]);
    world
        .verdicts
        .insert(place("dev"), vec![verdict("smoke", true, "tree", 3)]);
    let Decision::Commit(commit) = decide(&world, &promote(), at(5)).unwrap() else {
        panic!("it is no commit")
    };
    assert_eq!(
        commit.release.unwrap().verdicts,
        [verdict("smoke", true, "tree", 3)]
    );
}

#[test]
fn soak_counts_from_the_first_healthy_moment_and_says_what_is_left() {
    let mut world = proven();
    let policy = Policy::Soak {
        environment: place("prod").0,
        time: SignedDuration::from_hours(2),
        services: vec![],
    };
    world.policies.insert("calm".parse().unwrap(), policy);
    denied(&world, 1 + 3600, "1h of the 2h of policy `calm` are left");
    denied(&world, 1 + 7199, "1s of the 2h");
    allowed(&world, 1 + 7200);
}

#[test]
fn a_freeze_stops_releases_and_lets_an_emergency_rollback_through() {
    let mut world = proven();
    let promoted = decide(&world, &promote(), at(2)).unwrap();
    carry_out(&mut world, &promoted);
    let first = world.releases[&place("prod")].clone();
    verify(&mut world, &first);
    let second = decide(&world, &wish(2, "prod", Intent::Release), at(3)).unwrap();
    carry_out(&mut world, &second);
    let freeze = Freeze {
        effect: Effect::Deny,
        environments: vec![],
        services: vec![],
        window: Window::Once {
            from: "1970-01-01T00:00".parse().unwrap(),
            until: "1970-01-02T00:00".parse().unwrap(),
        },
        time_zone: "UTC".into(),
        changed: Changed {
            actor: person("eve"),
            reason: "live show".into(),
            at: at(0),
        },
    };
    world.freezes.insert("show".parse().unwrap(), freeze);
    world.zones = Arc::new([("UTC".to_owned(), TimeZone::UTC)].into());
    let refusal = decide(&world, &wish(3, "prod", Intent::Release), at(10)).unwrap_err();
    assert!(refusal.message.contains("frozen by `show`"), "{refusal}");
    assert!(refusal.message.contains("live show"), "{refusal}");
    let from = world.releases[&place("prod")].artifact.clone();
    let back = decide(&world, &wish(1, "prod", Intent::Rollback { from }), at(10)).unwrap();
    assert!(matches!(back, Decision::Commit(_)));
    allowed_after(&world);
}

#[track_caller]
fn allowed_after(world: &World) {
    let later = decide(world, &wish(3, "prod", Intent::Release), at(86_400)).unwrap();
    assert!(matches!(later, Decision::Commit(_)));
}

#[test]
fn an_arrival_that_people_keep_away_is_written_down_and_not_released() {
    let mut world = proven();
    let hold = foreshore_model::Hold {
        actor: person("eve"),
        reason: "looking".into(),
        at: at(0),
    };
    world.holds.insert(place("dev"), hold);
    let arrival = wish(2, "dev", Intent::AutoRelease { policy: "p".into() });
    let Decision::Commit(commit) = decide(&world, &arrival, at(2)).unwrap() else {
        panic!("it is no commit")
    };
    assert!(commit.release.is_none() && commit.steps.is_empty());
    let message = commit.message();
    assert!(
        message.contains("withheld: `web` is held in `dev` by eve: looking"),
        "{message}"
    );
    assert!(message.contains("Idempotency-Key: key 2 dev"), "{message}");
}

#[test]
fn a_circle_of_environments_denies() {
    let mut world = proven();
    world
        .environments
        .get_mut(&place("dev").0)
        .unwrap()
        .promotes_from = Some(place("prod").0);
    denied(&world, 5, "in a circle");
}

proptest! {
    /// Deny beats allow: adding a rule never makes a refused release possible.
    #[test]
    fn a_further_policy_never_allows_what_was_denied(kinds in prop::collection::vec(0..5_u8, 0..6), more in 0..5_u8, now in 0..10_000_i64) {
        let policy = |kind: u8| {
            let environment = place("prod").0;
            match kind {
                0 => Policy::BranchRestriction { environment, branch: "release/*".into(), services: vec![] },
                1 => Policy::BranchRestriction { environment, branch: "m*".into(), services: vec![] },
                2 => Policy::RequireVerdicts { environment, checks: vec!["smoke".into()], services: vec![] },
                3 => Policy::Soak { environment, time: SignedDuration::from_secs(5_000), services: vec![] },
                _ => Policy::AutoRelease { environment, branch: "main".into(), services: vec![] },
            }
        };
        let mut world = proven();
        for (index, kind) in kinds.into_iter().enumerate() {
            world.policies.insert(format!("p{index}").parse().unwrap(), policy(kind));
        }
        let before = decide(&world, &promote(), at(now)).is_ok();
        world.policies.insert("more".parse().unwrap(), policy(more));
        let after = decide(&world, &promote(), at(now)).is_ok();
        prop_assert!(before || !after);
        let every = terms(&world, &promote(), at(now)).iter().all(|term| term.holds);
        prop_assert_eq!(every, after, "what is explained is what is decided");
    }
}

#[test]
fn a_check_that_the_service_makes_a_gate_needs_no_policy() {
    let world = proven();
    let gated = |world: &World, environments: &[&str]| {
        let mut wish = promote();
        wish.artifact.record.checks = vec![Check {
            name: "smoke".into(),
            scenario: foreshore_model::Scenario::Text("scenario \"s\"".into()),
            environments: environments.iter().map(|it| it.parse().unwrap()).collect(),
            gate: true,
            profile: None,
            outside: false,
            files: std::collections::BTreeMap::new(),
        }];
        decide(world, &wish, at(5)).map_err(|refusal| refusal.message)
    };
    let refused = gated(&world, &[]).unwrap_err();
    assert!(refused.contains("has no verdict"), "{refused}");
    assert!(gated(&world, &["prod"]).is_ok(), "it is not made in dev");

    let mut known = world.clone();
    let mut unknown = verdict("smoke", false, "tree", 2);
    (unknown.unknown, unknown.summary) = (true, "nobody answered".into());
    known.verdicts.insert(place("dev"), vec![unknown]);
    let refused = gated(&known, &["dev"]).unwrap_err();
    assert!(refused.contains("could not be made"), "{refused}");
    assert!(refused.contains("nobody answered"), "{refused}");

    let passed = vec![verdict("smoke", true, "tree", 3)];
    known.verdicts.insert(place("dev"), passed);
    assert!(gated(&known, &[]).is_ok());
}
