//! Writing and removing policies; what contradicts another is refused before it is written.

use std::collections::BTreeMap;

use foreshore_model::config::Policy;
use foreshore_model::{
    Actor, Environment, EnvironmentName, PolicyName, ServiceName, nearest, yaml,
};

use crate::commit::{Commit, Decision, Step};
use crate::pattern;
use crate::refusal::Refusal;
use crate::world::{World, joined};

/// Writes a policy, unless it contradicts what is there.
pub fn apply_policy(
    world: &World,
    name: &PolicyName,
    policy: &Policy,
    actor: &Actor,
    key: &str,
) -> Result<Decision, Refusal> {
    if world.policies.get(name) == Some(policy) {
        return Ok(Decision::NotHeld);
    }
    check(world, name, policy)?;
    let text = yaml::write(policy).map_err(|error| Refusal::usage(error.to_string()))?;
    let subject = format!(
        "[policies] set {name} ({} for {}) by {}",
        policy.kind(),
        policy.environment(),
        actor.name
    );
    let step = Step::Write {
        path: path(name),
        text,
    };
    Ok(Commit::plain(subject, vec![step], actor, "", key).into())
}

/// Removes a policy.
pub fn delete_policy(
    world: &World,
    name: &PolicyName,
    actor: &Actor,
    reason: &str,
    key: &str,
) -> Result<Decision, Refusal> {
    if !world.policies.contains_key(name) {
        let known = world.policies.keys().map(PolicyName::as_str);
        let refusal = Refusal::not_found(format!("there is no policy `{name}`"));
        return Err(match nearest(name.as_str(), known) {
            Some(near) => refusal.hint(format!("did you mean `{near}`?")),
            None => refusal.hint(format!("known are: {}", joined(world.policies.keys()))),
        });
    }
    let subject = format!("[policies] delete {name} by {}", actor.name);
    let step = Step::Remove { path: path(name) };
    Ok(Commit::plain(subject, vec![step], actor, reason, key).into())
}

fn path(name: &PolicyName) -> String {
    format!("policies/{name}.yaml")
}

fn check(world: &World, name: &PolicyName, policy: &Policy) -> Result<(), Refusal> {
    let target = world.environment(policy.environment())?;
    if let Some(circle) = cycle(&world.environments, &target.name) {
        return Err(Refusal::usage(format!(
            "environments are promoted from each other in a circle: {}",
            joined(circle.iter().map(|name| format!("`{name}`")))
        ))
        .hint("correct `promotes_from` in one of their environment.yaml files"));
    }
    match policy {
        Policy::RequireVerdicts { checks, .. } if checks.is_empty() => {
            return Err(Refusal::usage(format!("policy `{name}` requires no check")));
        }
        Policy::Soak { time, .. } if !time.is_positive() => {
            return Err(
                Refusal::usage(format!("policy `{name}` asks for a time of {time:#}"))
                    .hint("write a time like 45m or 24h"),
            );
        }
        Policy::AutoRelease { branch: text, .. }
        | Policy::BranchRestriction { branch: text, .. }
        | Policy::AutoReleaseTag { tag: text, .. }
            if text.is_empty() =>
        {
            return Err(Refusal::usage(format!(
                "policy `{name}` has an empty pattern, which matches nothing"
            ))
            .hint("use `*` for any name"));
        }
        _ => {}
    }
    if matches!(policy, Policy::RequireVerdicts { .. } | Policy::Soak { .. })
        && target.promotes_from.is_none()
    {
        return Err(Refusal::conflict(format!(
            "policy `{name}` asks for proof from where `{}` is promoted from, but it is promoted from nowhere",
            target.name
        ))
        .hint("set `promotes_from` in its environment.yaml first"));
    }
    let others = world.policies.iter().filter(|(other, _)| *other != name);
    for (other, standing) in others {
        if let Some(why) = contradiction(policy, standing) {
            return Err(
                Refusal::conflict(format!("policy `{name}` contradicts `{other}`: {why}")).hint(
                    format!("change one of them, or take `{other}` away: `foreshore policy delete {other}`"),
                ),
            );
        }
    }
    Ok(())
}

/// Says why two policies of which both hold can never be met, if so.
pub fn contradiction(one: &Policy, two: &Policy) -> Option<String> {
    if one.environment() != two.environment() || !overlap(one.services(), two.services()) {
        return None;
    }
    let disjoint = |a: &str, b: &str| !pattern::overlap(a, b);
    match (one, two) {
        (
            Policy::AutoRelease { branch: wanted, .. },
            Policy::BranchRestriction {
                branch: allowed, ..
            },
        )
        | (
            Policy::BranchRestriction {
                branch: allowed, ..
            },
            Policy::AutoRelease { branch: wanted, .. },
        ) if disjoint(wanted, allowed) => Some(format!(
            "no branch is both `{wanted}`, which is released, and `{allowed}`, which is allowed"
        )),
        (
            Policy::BranchRestriction { branch: a, .. },
            Policy::BranchRestriction { branch: b, .. },
        ) if disjoint(a, b) => Some(format!(
            "no branch is both `{a}` and `{b}`, so nothing could be released"
        )),
        _ => None,
    }
}

fn overlap(one: &[ServiceName], two: &[ServiceName]) -> bool {
    one.is_empty() || two.is_empty() || one.iter().any(|service| two.contains(service))
}

/// Follows `promotes_from`; returns the circle it runs into, if it does.
pub fn cycle(
    environments: &BTreeMap<EnvironmentName, Environment>,
    start: &EnvironmentName,
) -> Option<Vec<EnvironmentName>> {
    let mut path: Vec<EnvironmentName> = Vec::new();
    let mut next = Some(start);
    while let Some(name) = next {
        if let Some(begin) = path.iter().position(|seen| seen == name) {
            return Some(path.split_off(begin));
        }
        path.push(name.clone());
        next = environments.get(name)?.promotes_from.as_ref();
    }
    None
}

#[cfg(test)]
mod tests {
    use foreshore_model::ExitCode;

    use super::*;
    use crate::decide::tests::{person, world};

    fn prod() -> EnvironmentName {
        "prod".parse().unwrap()
    }

    fn auto(branch: &str, services: &[&str]) -> Policy {
        Policy::AutoRelease {
            environment: prod(),
            branch: branch.into(),
            services: services.iter().map(|name| name.parse().unwrap()).collect(),
        }
    }

    fn only(branch: &str, services: &[&str]) -> Policy {
        Policy::BranchRestriction {
            environment: prod(),
            branch: branch.into(),
            services: services.iter().map(|name| name.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn what_can_never_be_met_contradicts_whichever_comes_first() {
        for (one, two, contradicts) in [
            (auto("main", &[]), only("release/*", &[]), true),
            (auto("release/*", &[]), only("*/1", &[]), false),
            (auto("main", &["web"]), only("release/*", &["api"]), false),
            (auto("main", &["web"]), only("release/*", &[]), true),
            (only("main", &[]), only("release/*", &[]), true),
            (only("main", &[]), only("m*", &[]), false),
            (auto("main", &[]), auto("release/*", &[]), false),
        ] {
            assert_eq!(
                contradiction(&one, &two).is_some(),
                contradicts,
                "{one:?} {two:?}"
            );
            assert_eq!(
                contradiction(&two, &one).is_some(),
                contradicts,
                "{two:?} {one:?}"
            );
        }
    }

    #[track_caller]
    fn refused(world: &World, policy: &Policy, code: ExitCode, part: &str) {
        let name = "new".parse().unwrap();
        let refusal = apply_policy(world, &name, policy, &person("ada"), "k").unwrap_err();
        let said = format!("{} {}", refusal.message, refusal.hints.join(" "));
        assert_eq!(refusal.code, code, "{said}");
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }

    #[test]
    fn a_policy_that_cannot_be_meant_is_refused_when_it_is_written() {
        let mut world = world();
        world
            .policies
            .insert("releases".parse().unwrap(), only("release/*", &[]));
        refused(
            &world,
            &auto("main", &[]),
            ExitCode::Conflict,
            "contradicts `releases`",
        );
        refused(&world, &auto("", &[]), ExitCode::Usage, "empty pattern");
        let elsewhere = Policy::AutoRollback {
            environment: "prd".parse().unwrap(),
            services: vec![],
        };
        refused(
            &world,
            &elsewhere,
            ExitCode::NotFound,
            "did you mean `prod`?",
        );
        let soak = |environment: &str, seconds: i64| Policy::Soak {
            environment: environment.parse().unwrap(),
            time: jiff::SignedDuration::from_secs(seconds),
            services: vec![],
        };
        refused(
            &world,
            &soak("dev", 60),
            ExitCode::Conflict,
            "promoted from nowhere",
        );
        refused(&world, &soak("prod", 0), ExitCode::Usage, "a time of");
        let checks = Policy::RequireVerdicts {
            environment: prod(),
            checks: vec![],
            services: vec![],
        };
        refused(&world, &checks, ExitCode::Usage, "requires no check");
    }

    #[test]
    fn environments_in_a_circle_are_named() {
        let mut world = world();
        assert_eq!(cycle(&world.environments, &prod()), None);
        let dev: EnvironmentName = "dev".parse().unwrap();
        world.environments.get_mut(&dev).unwrap().promotes_from = Some(prod());
        assert_eq!(cycle(&world.environments, &prod()), Some(vec![prod(), dev]));
        refused(
            &world,
            &auto("main", &[]),
            ExitCode::Usage,
            "in a circle: `prod`, `dev`",
        );
    }

    #[test]
    fn a_policy_is_written_once_and_deleted_by_its_name() {
        let mut world = world();
        let name: PolicyName = "main-to-prod".parse().unwrap();
        let decision =
            apply_policy(&world, &name, &auto("main", &[]), &person("ada"), "k").unwrap();
        assert!(matches!(decision, Decision::Commit(_)));
        world.policies.insert(name.clone(), auto("main", &[]));
        let again = apply_policy(&world, &name, &auto("main", &[]), &person("ada"), "k").unwrap();
        assert_eq!(again, Decision::NotHeld);
        assert!(delete_policy(&world, &name, &person("ada"), "", "k").is_ok());
        let slip = "main-to-prd".parse().unwrap();
        let refusal = delete_policy(&world, &slip, &person("ada"), "", "k").unwrap_err();
        assert_eq!(refusal.hints, ["did you mean `main-to-prod`?"]);
    }
}
