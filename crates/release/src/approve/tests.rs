//! Cases for approvals, arrivals and selections.

use foreshore_model::api::Selection;
use foreshore_model::config::Policy;
use foreshore_model::{EnvironmentName, ExitCode};

use super::*;
use crate::arrival::{Arrival, arrival};
use crate::decide::decide;
use crate::decide::tests::{at, candidate, carry_out, person, wish, world};
use crate::select::{Selected, select};
use crate::world::Verified;

fn requested() -> (World, String) {
    let mut world = world();
    let decision = decide(&world, &wish(1, "prod", Intent::Release), at(1)).unwrap();
    carry_out(&mut world, &decision);
    let id = world.requests.keys().next().unwrap().clone();
    (world, id)
}

#[track_caller]
fn check_refused(world: &World, id: &str, by: &str, code: ExitCode, part: &str) {
    let refusal =
        approve(world, id, &person(by), candidate(1, "main"), "k", at(2)).expect_err("is refused");
    assert_eq!(refusal.code, code, "{refusal}");
    assert!(
        refusal.message.contains(part),
        "`{part}` is not in: {refusal}"
    );
}

#[test]
fn another_persons_approval_releases_the_same_bytes() {
    let (mut world, id) = requested();
    let decision = approve(
        &world,
        &id,
        &person("bob"),
        candidate(1, "main"),
        "k",
        at(2),
    )
    .unwrap();
    let Decision::Commit(commit) = &decision else {
        panic!("{decision:?}")
    };
    let release = commit.release.clone().unwrap();
    assert_eq!(release.artifact, candidate(1, "main").digest);
    assert_eq!(
        (release.actor, release.approved_by),
        (person("ada"), vec![person("bob")])
    );
    assert!(
        commit
            .message()
            .contains("Approved-By: bob <bob@example.org>")
    );
    carry_out(&mut world, &decision);
    assert!(world.requests.is_empty());
}

#[test]
fn nobody_approves_their_own_request() {
    let (world, id) = requested();
    check_refused(
        &world,
        &id,
        "ada",
        ExitCode::Refused,
        "another person must approve",
    );
}

#[test]
fn only_those_named_may_approve() {
    let (mut world, id) = requested();
    let prod: EnvironmentName = "prod".parse().unwrap();
    world.environments.get_mut(&prod).unwrap().approvals.by = vec!["carol".into()];
    check_refused(
        &world,
        &id,
        "bob",
        ExitCode::Refused,
        "`bob` may not approve releases to `prod`",
    );
}

#[test]
fn two_approvals_must_be_of_two_people() {
    let (mut world, id) = requested();
    let prod: EnvironmentName = "prod".parse().unwrap();
    world.environments.get_mut(&prod).unwrap().approvals.count = 2;
    for _ in 0..2 {
        let decision = approve(
            &world,
            &id,
            &person("bob"),
            candidate(1, "main"),
            "k",
            at(2),
        )
        .unwrap();
        assert!(
            matches!(&decision, Decision::Propose(proposal) if proposal.needed == 1),
            "{decision:?}"
        );
        carry_out(&mut world, &decision);
    }
    let decision = approve(
        &world,
        &id,
        &person("carol"),
        candidate(1, "main"),
        "k",
        at(2),
    )
    .unwrap();
    assert!(matches!(decision, Decision::Commit(_)));
}

#[test]
fn a_request_that_the_environment_overtook_is_a_conflict() {
    let (mut world, id) = requested();
    let prod: EnvironmentName = "prod".parse().unwrap();
    world.environments.get_mut(&prod).unwrap().approvals.count = 0;
    let decision = decide(&world, &wish(2, "prod", Intent::Release), at(2)).unwrap();
    carry_out(&mut world, &decision);
    check_refused(
        &world,
        &id,
        "bob",
        ExitCode::Conflict,
        "`prod` has moved on",
    );
}

#[test]
fn an_unknown_request_names_the_nearest() {
    let (world, id) = requested();
    let refusal = approve(
        &world,
        &id[..id.len() - 1],
        &person("bob"),
        candidate(1, "main"),
        "k",
        at(2),
    )
    .unwrap_err();
    assert_eq!(
        (refusal.code, refusal.hints),
        (ExitCode::NotFound, vec![format!("did you mean `{id}`?")])
    );
}

#[test]
fn an_arrival_goes_where_a_policy_wants_its_branch() {
    let mut world = world();
    let policy = |environment: &str, branch: &str| Policy::AutoRelease {
        environment: environment.parse().unwrap(),
        branch: branch.into(),
        services: vec![],
    };
    world
        .policies
        .insert("a".parse().unwrap(), policy("dev", "main"));
    world
        .policies
        .insert("b".parse().unwrap(), policy("prod", "v*"));
    let places = |branch: &str| -> Vec<String> {
        let wishes = arrival(
            &world,
            &Arrival {
                artifact: candidate(1, branch),
            },
        );
        wishes
            .into_iter()
            .map(|wish| wish.environment.to_string())
            .collect()
    };
    assert_eq!(places("main"), ["dev"]);
    assert_eq!(places("v1.2"), ["prod"]);
    assert!(places("main-2").is_empty());
}

#[test]
fn a_rollback_goes_to_the_last_healthy_artifact_before_the_present_one() {
    let mut world = world();
    let place = ("dev".parse().unwrap(), "web".parse().unwrap());
    let mut digests = Vec::new();
    for n in 1..=4 {
        let decision = decide(&world, &wish(n, "dev", Intent::Release), at(1)).unwrap();
        carry_out(&mut world, &decision);
        let release = world.releases[&place].clone();
        digests.push(release.artifact.clone());
        // Number 3 never became healthy, number 4 is the broken one that runs.
        if n < 3 {
            world
                .verified
                .entry(place.clone())
                .or_default()
                .push(Verified {
                    artifact: release.artifact,
                    artifact_id: release.artifact_id,
                    sequence: release.sequence,
                    at: at(1),
                });
        }
    }
    let selected = select(&world, &place.1, &place.0, &Selection::LastVerified, true).unwrap();
    assert_eq!(
        selected,
        Selected::Digest {
            digest: digests[1].clone(),
            intent: Intent::Rollback {
                from: digests[3].clone()
            }
        }
    );
    world.verified.clear();
    let refusal = select(&world, &place.1, &place.0, &Selection::LastVerified, true).unwrap_err();
    assert_eq!(refusal.code, ExitCode::NotFound);
}

#[test]
fn the_first_environment_has_nothing_to_promote_from() {
    let refusal = select(
        &world(),
        &"web".parse().unwrap(),
        &"dev".parse().unwrap(),
        &Selection::From(None),
        false,
    )
    .unwrap_err();
    assert_eq!(refusal.message, "`dev` has no environment to promote from");
}
