//! What automation does about a release that failed: nothing, or the last artifact that was healthy.

use foreshore_model::config::Policy;
use foreshore_model::{Actor, Digest, Intent, Outcome, Phase, PolicyName, Verdict};
use jiff::{SignedDuration, Timestamp};

use crate::decide::Wish;
use crate::world::{Candidate, World};

/// A failure that is told later than this is no news to act on.
const FRESH: SignedDuration = SignedDuration::from_mins(20);

/// An artifact to bring back, and by which policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    pub policy: PolicyName,
    pub artifact: Digest,
    /// The artifact that failed.
    pub from: Digest,
    /// Sequence number of the release that failed.
    pub sequence: u64,
}

/// Says what to bring back after this outcome, if a policy wants it and it is safe.
///
/// Only to an artifact that was healthy there, never a rollback of a rollback,
/// never when people hold the service, and only while the failed release is
/// still the desired one.
pub fn recovery(world: &World, outcome: &Outcome, now: Timestamp) -> Option<Recovery> {
    let checks_failed = outcome.verdicts.iter().any(Verdict::is_breach);
    if outcome.phase != Phase::Failed && !checks_failed {
        return None;
    }
    let place = (outcome.environment.clone(), outcome.service.clone());
    let current = world.releases.get(&place)?;
    let is_news = current.sequence == outcome.sequence
        && current.artifact == outcome.artifact
        && now.duration_since(outcome.at) <= FRESH;
    if !is_news || current.intent.is_rollback() || world.holds.contains_key(&place) {
        return None;
    }
    let (policy, _) = world.policies.iter().find(|(_, policy)| {
        matches!(policy, Policy::AutoRollback { .. })
            && policy.is_about(&outcome.environment, &outcome.service)
    })?;
    let earlier = world
        .verified
        .get(&place)?
        .iter()
        .filter(|verified| {
            verified.sequence < current.sequence && verified.artifact != current.artifact
        })
        .max_by_key(|verified| verified.sequence)?;
    Some(Recovery {
        policy: policy.clone(),
        artifact: earlier.artifact.clone(),
        from: current.artifact.clone(),
        sequence: current.sequence,
    })
}

impl Recovery {
    /// Returns the wish to be decided; it holds the service, so that automation does not undo it.
    pub fn wish(&self, outcome: &Outcome, artifact: Candidate) -> Wish {
        let cause = outcome.causes.first().map_or_else(
            || "a check failed".to_owned(),
            |cause| format!("{}: {}", cause.object, cause.reason),
        );
        Wish {
            service: outcome.service.clone(),
            environment: outcome.environment.clone(),
            artifact,
            intent: Intent::AutoRollback {
                policy: self.policy.to_string(),
                from: self.from.clone(),
            },
            actor: Actor::automation(),
            reason: format!(
                "policy {}: number {} failed, {cause}",
                self.policy, self.sequence
            ),
            key: format!(
                "auto-rollback/{}/{}/{}",
                outcome.environment, outcome.service, self.sequence
            ),
            expected: Some(self.from.clone()),
            hold: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use foreshore_model::Hold;
    use proptest::prelude::*;

    use super::*;
    use crate::commit::Decision;
    use crate::decide::decide;
    use crate::decide::tests::{at, candidate, carry_out, person, verify, wish, world};
    use crate::world::Place;

    fn place() -> Place {
        ("dev".parse().unwrap(), "web".parse().unwrap())
    }

    /// Artifact 1 was healthy, artifact 2 has failed.
    fn failed() -> (World, Outcome) {
        let mut world = world();
        let policy = Policy::AutoRollback {
            environment: "dev".parse().unwrap(),
            services: vec![],
        };
        world.policies.insert("back".parse().unwrap(), policy);
        for n in [1, 2] {
            let decision = decide(&world, &wish(n, "dev", Intent::Release), at(n.into())).unwrap();
            carry_out(&mut world, &decision);
            if n == 1 {
                let release = world.releases[&place()].clone();
                verify(&mut world, &release);
            }
        }
        let release = &world.releases[&place()];
        let outcome = Outcome {
            environment: place().0,
            site: "local".parse().unwrap(),
            service: place().1,
            sequence: release.sequence,
            artifact: release.artifact.clone(),
            commit: "c".into(),
            phase: Phase::Failed,
            causes: vec![],
            at: at(10),
            operations: 0,
            verdicts: vec![],
        };
        (world, outcome)
    }

    #[test]
    fn the_last_healthy_artifact_comes_back_once_with_a_hold() {
        let (mut world, outcome) = failed();
        let found = recovery(&world, &outcome, at(11)).unwrap();
        assert_eq!(found.artifact, candidate(1, "main").digest);
        let wish = found.wish(&outcome, candidate(1, "main"));
        let decision = decide(&world, &wish, at(12)).unwrap();
        assert!(matches!(decision, Decision::Commit(_)));
        carry_out(&mut world, &decision);
        assert!(world.holds.contains_key(&place()));
        let again = Outcome {
            sequence: 3,
            artifact: wish.artifact.digest,
            ..outcome
        };
        assert_eq!(
            recovery(&world, &again, at(13)),
            None,
            "never a rollback of a rollback"
        );
    }

    #[test]
    fn a_failed_check_is_a_failure_and_a_passed_one_is_not() {
        let (world, outcome) = failed();
        let verdict = |passed, gate, unknown| Verdict {
            check: "smoke".into(),
            artifact: outcome.artifact.clone(),
            environment: place().0,
            tree: String::new(),
            passed,
            unknown,
            gate,
            summary: String::new(),
            at: at(10),
        };
        let healthy = |verdict| Outcome {
            phase: Phase::Healthy,
            verdicts: vec![verdict],
            ..outcome.clone()
        };
        let acts = |verdict| recovery(&world, &healthy(verdict), at(11)).is_some();
        assert!(acts(verdict(false, true, false)));
        assert!(!acts(verdict(true, true, false)));
        assert!(!acts(verdict(false, false, false)), "nobody asked for it");
        assert!(!acts(verdict(false, true, true)), "nothing was measured");
    }

    #[test]
    fn nothing_comes_back_without_policy_or_proof_or_when_it_is_late_or_held() {
        let (world, outcome) = failed();
        let check = |change: &dyn Fn(&mut World, &mut Outcome), now: i64| {
            let (mut world, mut outcome) = (world.clone(), outcome.clone());
            change(&mut world, &mut outcome);
            recovery(&world, &outcome, at(now)).is_some()
        };
        assert!(check(&|_, _| {}, 11));
        assert!(!check(&|world, _| world.policies.clear(), 11));
        assert!(!check(&|world, _| world.verified.clear(), 11));
        assert!(!check(&|_, outcome| outcome.sequence = 1, 11));
        assert!(!check(&|_, outcome| outcome.phase = Phase::Degraded, 11));
        assert!(!check(&|_, _| {}, 11 + 20 * 60));
        let hold = Hold {
            actor: person("eve"),
            reason: "looking".into(),
            at: at(0),
        };
        assert!(!check(
            &|world, _| drop(world.holds.insert(place(), hold.clone())),
            11
        ));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// However releases fail and recover, automation ends: it never follows its own release.
        #[test]
        fn automation_never_undoes_itself(artifacts in prop::collection::vec((1..5_u32, any::<bool>()), 1..20)) {
            let (mut world, outcome) = failed();
            for (now, (n, healthy)) in (20..).zip(artifacts) {
                let Ok(decision) = decide(&world, &wish(n, "dev", Intent::Release), at(now)) else { continue };
                carry_out(&mut world, &decision);
                world.holds.clear();
                let release = world.releases[&place()].clone();
                if healthy {
                    verify(&mut world, &release);
                    continue;
                }
                let failure = Outcome { sequence: release.sequence, artifact: release.artifact.clone(), at: at(now), ..outcome.clone() };
                let Some(found) = recovery(&world, &failure, at(now)) else { continue };
                prop_assert!(world.is_verified(&place(), &found.artifact) && found.artifact != release.artifact);
                let number = (1..5).find(|n| candidate(*n, "main").digest == found.artifact).unwrap();
                let decision = decide(&world, &found.wish(&failure, candidate(number, "main")), at(now)).unwrap();
                carry_out(&mut world, &decision);
                world.holds.clear();
                let back = world.releases[&place()].clone();
                let next = Outcome { sequence: back.sequence, artifact: back.artifact, ..failure };
                prop_assert_eq!(recovery(&world, &next, at(now)), None);
            }
        }
    }
}
