//! Cases for deciding about wishes.

use std::collections::BTreeMap;

use foreshore_model::artifact::{PlanStamp, Source};
use foreshore_model::config::{Approvals, Drift, Environment, Hold, Policy, SiteOrder};
use foreshore_model::{ArtifactId, ArtifactRecord, ExitCode};
use proptest::prelude::*;

use super::*;
use crate::world::Verified;

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub(crate) fn person(name: &str) -> Actor {
    Actor::new(name, format!("{name}@example.org"))
}

/// Artifact number `n` of `web`, built from `branch`.
pub(crate) fn candidate(n: u32, branch: &str) -> Candidate {
    let manifests = |environment: &str| {
        (
            environment.parse().unwrap(),
            BTreeMap::from([("deployment-web.yaml".to_owned(), format!("n: {n}\n"))]),
        )
    };
    Candidate {
        digest: Digest::of(format!("artifact {n}").as_bytes()),
        record: ArtifactRecord {
            id: ArtifactId::from_parts(branch, &format!("{n:040x}"), "plan"),
            service: "web".parse().unwrap(),
            owner: "shop".into(),
            source: Source {
                commit: format!("{n:040x}"),
                branch: branch.into(),
                tag: None,
                author: "ada".into(),
                message: "m".into(),
                committed_at: at(0),
                modified: false,
            },
            plan: PlanStamp {
                name: "rust-service".into(),
                hash: Digest::of(b"plan"),
                commit: None,
                reference: String::new(),
            },
            tool: "0.1.0".into(),
            images: BTreeMap::new(),
            manifests: BTreeMap::from([manifests("dev"), manifests("prod")]),
            stages: vec![],
            ci: None,
            checks: Vec::new(),
            definition: String::new(),
        },
    }
}

pub(crate) fn world() -> World {
    let environment = |name: &str, from: Option<&str>, count: u32| Environment {
        name: name.parse().unwrap(),
        namespace: name.into(),
        promotes_from: from.map(|from| from.parse().unwrap()),
        sites: vec!["local".parse().unwrap()],
        approvals: Approvals { count, by: vec![] },
        production: count > 0,
        site_order: SiteOrder::default(),
        drift: Drift::default(),
        service_account: None,
        recipients: Vec::new(),
    };
    let environments = [
        environment("dev", None, 0),
        environment("prod", Some("dev"), 1),
    ];
    World {
        environments: environments
            .into_iter()
            .map(|environment| (environment.name.clone(), environment))
            .collect(),
        ..World::default()
    }
}

pub(crate) fn wish(n: u32, environment: &str, intent: Intent) -> Wish {
    Wish {
        service: "web".parse().unwrap(),
        environment: environment.parse().unwrap(),
        artifact: candidate(n, "main"),
        intent,
        actor: person("ada"),
        reason: "why".into(),
        key: format!("key {n} {environment}"),
        expected: None,
        hold: false,
    }
}

fn place(environment: &str) -> (EnvironmentName, ServiceName) {
    (environment.parse().unwrap(), "web".parse().unwrap())
}

/// Does to the world what the writer does to the repository.
pub(crate) fn carry_out(world: &mut World, decision: &Decision) {
    match decision {
        Decision::Commit(commit) => {
            if let Some(release) = &commit.release {
                world.releases.insert(
                    (release.environment.clone(), release.service.clone()),
                    release.clone(),
                );
                if let Some(hold) = &commit.hold {
                    world.holds.insert(
                        (release.environment.clone(), release.service.clone()),
                        hold.clone(),
                    );
                }
            }
            for id in &commit.closes {
                world.requests.remove(id);
            }
        }
        Decision::Propose(proposal) => {
            world
                .requests
                .insert(proposal.request.id.clone(), proposal.request.clone());
        }
        Decision::Unchanged(_) | Decision::NotHeld => {}
    }
}

fn release(world: &mut World, wish: &Wish) -> ReleaseFile {
    let decision = decide(world, wish, at(1)).unwrap();
    carry_out(world, &decision);
    match decision {
        Decision::Commit(commit) => commit.release.unwrap(),
        other => panic!("not a commit: {other:?}"),
    }
}

pub(crate) fn verify(world: &mut World, release: &ReleaseFile) {
    world
        .verified
        .entry((release.environment.clone(), release.service.clone()))
        .or_default()
        .push(Verified {
            artifact: release.artifact.clone(),
            artifact_id: release.artifact_id.clone(),
            sequence: release.sequence,
            at: release.at,
        });
}

#[track_caller]
fn check_refused(world: &World, wish: &Wish, code: ExitCode, part: &str) {
    let refusal = decide(world, wish, at(1)).expect_err("is refused");
    assert_eq!(refusal.code, code, "{refusal}");
    assert!(
        refusal.message.contains(part),
        "`{part}` is not in: {refusal}"
    );
}

#[track_caller]
fn check_withheld(world: &World, wish: &Wish, part: &str) {
    let decision = decide(world, wish, at(1)).unwrap();
    let Decision::Commit(commit) = decision else {
        panic!("{decision:?}")
    };
    assert!(commit.release.is_none() && commit.steps.is_empty());
    assert!(commit.subject.contains(part), "{}", commit.subject);
}

#[test]
fn a_release_commits_exactly_the_artifacts_bytes_and_says_who_and_why() {
    let decision = decide(&world(), &wish(1, "dev", Intent::Release), at(1)).unwrap();
    let Decision::Commit(commit) = decision else {
        panic!("{decision:?}")
    };
    let paths: Vec<String> = commit.steps.iter().map(Step::words).collect();
    assert_eq!(
        paths[0],
        "remove environments/dev/web/manifests and everything in it"
    );
    assert_eq!(
        commit.steps[1],
        Step::Write {
            path: "environments/dev/web/manifests/deployment-web.yaml".into(),
            text: "n: 1\n".into()
        }
    );
    let message = commit.message();
    for part in [
        "[dev/web] release main-",
        "by ada",
        "Actor: ada <ada@example.org>",
        "Reason: why",
        "Idempotency-Key: key 1 dev",
    ] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn the_sequence_grows_and_names_what_was_replaced() {
    let mut world = world();
    let first = release(&mut world, &wish(1, "dev", Intent::Release));
    let second = release(&mut world, &wish(2, "dev", Intent::Release));
    assert_eq!((first.sequence, second.sequence), (1, 2));
    assert_eq!(second.previous, Some(first.artifact));
}

#[test]
fn releasing_what_runs_already_changes_nothing() {
    let mut world = world();
    let first = release(&mut world, &wish(1, "dev", Intent::Release));
    let again = decide(&world, &wish(1, "dev", Intent::Release), at(2)).unwrap();
    assert_eq!(again, Decision::Unchanged(Box::new(first)));
}

#[test]
fn a_repeated_wish_finds_its_request_though_the_evidence_is_not_there_yet_again() {
    let mut world = world();
    let dev = release(&mut world, &wish(1, "dev", Intent::Release));
    let promote = wish(
        1,
        "prod",
        Intent::Promote {
            from: "dev".parse().unwrap(),
        },
    );
    let mut before = world.clone();
    verify(&mut world, &dev);
    let decision = decide(&world, &promote, at(2)).unwrap();
    let Decision::Propose(proposal) = &decision else {
        panic!("{decision:?}")
    };
    carry_out(&mut before, &decision);
    let again = decide(&before, &promote, at(3)).unwrap();
    let Decision::Propose(again) = again else {
        panic!("{again:?}")
    };
    assert_eq!(
        (again.unchanged, again.needed, &again.request),
        (true, 1, &proposal.request)
    );
    let other = Wish {
        key: "another".into(),
        ..promote
    };
    check_refused(
        &before,
        &other,
        ExitCode::Refused,
        "was never healthy in `dev`",
    );
}

#[test]
fn production_waits_for_another_person() {
    let mut world = world();
    let dev = release(&mut world, &wish(1, "dev", Intent::Release));
    let promote = wish(
        1,
        "prod",
        Intent::Promote {
            from: "dev".parse().unwrap(),
        },
    );
    check_refused(
        &world,
        &promote,
        ExitCode::Refused,
        "was never healthy in `dev`",
    );
    verify(&mut world, &dev);
    let decision = decide(&world, &promote, at(2)).unwrap();
    let Decision::Propose(proposal) = &decision else {
        panic!("{decision:?}")
    };
    assert_eq!((proposal.needed, proposal.unchanged), (1, false));
    carry_out(&mut world, &decision);
    let again = decide(
        &world,
        &Wish {
            key: "another".into(),
            ..promote
        },
        at(3),
    )
    .unwrap();
    let Decision::Propose(again) = again else {
        panic!("{again:?}")
    };
    assert!(again.unchanged && again.request.id == proposal.request.id);
    assert!(!world.releases.contains_key(&place("prod")));
}

#[test]
fn a_rollback_to_what_was_healthy_here_needs_no_approval_and_holds() {
    let mut world = world();
    world
        .environments
        .values_mut()
        .for_each(|environment| environment.approvals.count = 0);
    let first = release(&mut world, &wish(1, "prod", Intent::Release));
    verify(&mut world, &first);
    let second = release(&mut world, &wish(2, "prod", Intent::Release));
    world
        .environments
        .values_mut()
        .for_each(|environment| environment.approvals.count = 1);
    let back = Wish {
        hold: true,
        ..wish(
            1,
            "prod",
            Intent::Rollback {
                from: second.artifact.clone(),
            },
        )
    };
    let third = release(&mut world, &back);
    assert_eq!((third.artifact, third.sequence), (first.artifact, 3));
    assert!(world.holds.contains_key(&place("prod")));
    check_withheld(
        &world,
        &wish(3, "prod", Intent::AutoRelease { policy: "p".into() }),
        "is held in `prod` by ada: why",
    );
}

#[test]
fn a_hold_stops_automation_and_not_people() {
    let mut world = world();
    world.holds.insert(
        place("dev"),
        Hold {
            actor: person("eve"),
            reason: "looking".into(),
            at: at(0),
        },
    );
    check_withheld(
        &world,
        &wish(1, "dev", Intent::AutoRelease { policy: "p".into() }),
        "is held in `dev` by eve: looking",
    );
    release(&mut world, &wish(1, "dev", Intent::Release));
}

#[test]
fn a_branch_restriction_beats_an_auto_release() {
    let mut world = world();
    let environment: EnvironmentName = "dev".parse().unwrap();
    let restriction = Policy::BranchRestriction {
        environment,
        branch: "release/*".into(),
        services: vec![],
    };
    world
        .policies
        .insert("only-releases".parse().unwrap(), restriction);
    check_refused(
        &world,
        &wish(1, "dev", Intent::AutoRelease { policy: "p".into() }),
        ExitCode::Refused,
        "branch `main` does not match `release/*`",
    );
}

#[test]
fn who_expects_another_artifact_is_told_who_moved() {
    let mut world = world();
    release(&mut world, &wish(1, "dev", Intent::Release));
    let late = Wish {
        expected: Some(Digest::of(b"old")),
        ..wish(2, "dev", Intent::Release)
    };
    check_refused(&world, &late, ExitCode::Conflict, "ada moved first");
}

#[test]
fn an_unknown_environment_names_the_nearest() {
    let refusal = decide(&world(), &wish(1, "prd", Intent::Release), at(1)).unwrap_err();
    assert_eq!(
        (refusal.code, refusal.hints),
        (ExitCode::NotFound, vec!["did you mean `prod`?".to_owned()])
    );
}

#[test]
fn a_secret_in_plain_text_never_reaches_git() {
    let mut wish = wish(1, "dev", Intent::Release);
    let manifests = wish
        .artifact
        .record
        .manifests
        .get_mut(&wish.environment)
        .unwrap();
    manifests.insert(
        "secret-web.yaml".into(),
        "kind: Secret\nstringData: {password: hunter2}\n".into(),
    );
    check_refused(
        &world(),
        &wish,
        ExitCode::Refused,
        "`secret-web.yaml` holds a secret in plain text",
    );
}

#[test]
fn an_artifact_without_manifests_for_the_environment_is_refused() {
    let mut wish = wish(1, "dev", Intent::Release);
    wish.artifact.record.manifests.remove(&wish.environment);
    check_refused(
        &world(),
        &wish,
        ExitCode::Refused,
        "holds no manifests for `dev`, only for prod",
    );
}

proptest! {
    #[test]
    fn sequences_only_grow_and_deciding_twice_does_nothing(wishes in prop::collection::vec((1..6_u32, 0..3_u8), 1..30)) {
        let mut world = world();
        let mut last = 0;
        for (n, kind) in wishes {
            let intent = match kind {
                0 => Intent::Release,
                1 => Intent::AutoRelease { policy: "p".into() },
                _ => Intent::Rollback { from: Digest::of(b"x") },
            };
            let wish = Wish { hold: kind == 2, ..wish(n, "dev", intent) };
            let Ok(decision) = decide(&world, &wish, at(1)) else { continue };
            if matches!(&decision, Decision::Commit(commit) if commit.release.is_none()) {
                continue;
            }
            carry_out(&mut world, &decision);
            let current = &world.releases[&place("dev")];
            prop_assert_eq!(&current.artifact, &wish.artifact.digest);
            prop_assert!(current.sequence >= last);
            last = current.sequence;
            let again = decide(&world, &wish, at(2)).unwrap();
            prop_assert!(matches!(again, Decision::Unchanged(_)));
        }
    }
}
