//! Whether an artifact may enter an environment, term by term.

use foreshore_model::config::Policy;
use foreshore_model::{EnvironmentName, Intent, PolicyName, Verdict, yaml};
use jiff::{SignedDuration, Timestamp};

use crate::decide::Wish;
use crate::freeze::{Freezing, freezing};
use crate::pattern::matches;
use crate::policy::cycle;
use crate::world::{World, joined};

/// One condition, with the answer in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    pub name: &'static str,
    pub holds: bool,
    pub words: String,
}

impl Term {
    fn new(name: &'static str, holds: bool, words: impl Into<String>) -> Self {
        Self {
            name,
            holds,
            words: words.into(),
        }
    }
}

/// Lists every condition that the wish must meet; one that does not hold denies it.
///
/// The one function of eligibility: server, command line and automation ask it.
pub fn terms(world: &World, wish: &Wish, now: Timestamp) -> Vec<Term> {
    let mut terms = vec![rendered(wish), no_plain_secrets(wish)];
    terms.extend(branch_restrictions(world, wish));
    terms.extend(hold(world, wish));
    terms.extend(source_is_healthy(world, wish));
    // Bytes that were healthy here need no further proof, and no other hour.
    if brings_back_what_was_healthy(world, wish) {
        let words = "the artifact was healthy here before, so it may come back at any time";
        terms.push(Term::new("rollback", true, words));
        return terms;
    }
    terms.extend(verdicts(world, wish));
    terms.extend(soak(world, wish, now));
    terms.extend(freeze(world, wish, now));
    terms.extend(environment_cycle(world, wish));
    terms
}

/// Whether the wish brings back bytes that were healthy in this very environment.
pub(crate) fn brings_back_what_was_healthy(world: &World, wish: &Wish) -> bool {
    let place = (wish.environment.clone(), wish.service.clone());
    wish.intent.is_rollback() && world.is_verified(&place, &wish.artifact.digest)
}

fn rendered(wish: &Wish) -> Term {
    let record = &wish.artifact.record;
    let holds = record
        .manifests
        .get(&wish.environment)
        .is_some_and(|manifests| !manifests.is_empty());
    let words = if holds {
        format!("the artifact holds manifests for `{}`", wish.environment)
    } else {
        format!(
            "artifact `{}` holds no manifests for `{}`, only for {}; name the environment in foreshore.yaml and build again",
            record.id,
            wish.environment,
            joined(record.manifests.keys())
        )
    };
    Term::new("rendered", holds, words)
}

fn no_plain_secrets(wish: &Wish) -> Term {
    let manifests = wish.artifact.record.manifests.get(&wish.environment);
    for (file, text) in manifests.into_iter().flatten() {
        let objects = match yaml::read_manifests(file, text) {
            Ok(objects) => objects,
            Err(error) => {
                return Term::new(
                    "readable",
                    false,
                    format!("the artifact's manifests cannot be read: {error}"),
                );
            }
        };
        let secret = objects.iter().any(|object| {
            object["kind"] == "Secret"
                && ["data", "stringData"]
                    .iter()
                    .any(|field| !object[field].is_null())
        });
        if secret {
            return Term::new(
                "no plain secrets",
                false,
                format!("`{file}` holds a secret in plain text; secrets stay outside the artifact"),
            );
        }
    }
    Term::new(
        "no plain secrets",
        true,
        "no manifest holds a secret in plain text",
    )
}

fn branch_restrictions(world: &World, wish: &Wish) -> impl Iterator<Item = Term> {
    let source = &wish.artifact.record.source.branch;
    world.policies.iter().filter_map(move |(name, policy)| match policy {
        Policy::BranchRestriction { environment, branch, services }
            if *environment == wish.environment && (services.is_empty() || services.contains(&wish.service)) =>
        {
            let holds = matches(branch, source);
            let verb = if holds { "matches" } else { "does not match" };
            Some(Term::new("branch", holds, format!("branch `{source}` {verb} `{branch}`, which policy `{name}` asks for in `{environment}`")))
        }
        _ => None,
    })
}

/// A hold stops automation; a person who releases by hand knows of it.
fn hold(world: &World, wish: &Wish) -> Option<Term> {
    let hold = world
        .holds
        .get(&(wish.environment.clone(), wish.service.clone()))?;
    let automatic = wish.intent.is_automatic();
    let verb = if automatic {
        "is held"
    } else {
        "is held for automation"
    };
    Some(Term::new(
        "hold",
        !automatic,
        format!(
            "`{}` {verb} in `{}` by {}: {}",
            wish.service, wish.environment, hold.actor.name, hold.reason
        ),
    ))
}

fn source_is_healthy(world: &World, wish: &Wish) -> Option<Term> {
    let Intent::Promote { from } = &wish.intent else {
        return None;
    };
    let holds = world.is_verified(&(from.clone(), wish.service.clone()), &wish.artifact.digest);
    if let Some(breach) = newest_breach(world, wish, from).filter(|_| !holds) {
        let words = format!(
            "check `{}` failed in `{from}` at {}, so the artifact does not count as healthy there: {}",
            breach.check, breach.at, breach.summary
        );
        return Some(Term::new("source", false, words));
    }
    let verb = if holds {
        "was healthy"
    } else {
        "was never healthy"
    };
    Some(Term::new(
        "source",
        holds,
        format!("artifact `{}` {verb} in `{from}`", wish.artifact.record.id),
    ))
}

/// The newest check of the artifact that measured it and found it wanting.
fn newest_breach<'a>(
    world: &'a World,
    wish: &Wish,
    source: &EnvironmentName,
) -> Option<&'a Verdict> {
    let known = world
        .verdicts
        .get(&(source.clone(), wish.service.clone()))?;
    known
        .iter()
        .filter(|verdict| verdict.artifact == wish.artifact.digest && verdict.is_breach())
        .max_by_key(|verdict| verdict.at)
}

/// Where the artifact proves itself before it comes here.
fn source<'a>(world: &'a World, wish: &'a Wish) -> Option<&'a EnvironmentName> {
    match &wish.intent {
        Intent::Promote { from } => Some(from),
        _ => world
            .environments
            .get(&wish.environment)?
            .promotes_from
            .as_ref(),
    }
}

fn policies<'a>(
    world: &'a World,
    wish: &'a Wish,
) -> impl Iterator<Item = (&'a PolicyName, &'a Policy)> {
    world
        .policies
        .iter()
        .filter(|(_, policy)| policy.is_about(&wish.environment, &wish.service))
}

fn verdicts(world: &World, wish: &Wish) -> Vec<Term> {
    let required = policies(world, wish).filter_map(|(name, policy)| match policy {
        Policy::RequireVerdicts { checks, .. } => Some((name, checks)),
        _ => None,
    });
    let pairs = required.flat_map(|(name, checks)| checks.iter().map(move |check| (name, check)));
    let source = source(world, wish);
    let mut terms: Vec<Term> = pairs
        .map(|(policy, check)| {
            if let Some(source) = source {
                let asked = format!("which policy `{policy}` asks for");
                return verdict(world, wish, source, check, &asked);
            }
            let words = format!(
                "policy `{policy}` asks for check `{check}`, but `{}` is promoted from nowhere",
                wish.environment
            );
            Term::new("verdict", false, words)
        })
        .collect();
    terms.extend(gates(world, wish, source));
    terms
}

/// The checks of which the service itself says that they must hold.
fn gates<'a>(
    world: &'a World,
    wish: &'a Wish,
    source: Option<&'a EnvironmentName>,
) -> impl Iterator<Item = Term> + 'a {
    source.into_iter().flat_map(move |source| {
        let checks = wish.artifact.record.checks.iter();
        checks
            .filter(|check| check.gate && check.is_for(source))
            .map(move |check| {
                let asked = "which the service's own file makes a gate";
                verdict(world, wish, source, &check.name, asked)
            })
    })
}

fn verdict(world: &World, wish: &Wish, source: &EnvironmentName, check: &str, asked: &str) -> Term {
    let Some(found) = newest_verdict(world, wish, source, check) else {
        let words = format!(
            "check `{check}` has no verdict for `{}` in `{source}`, {asked}",
            wish.artifact.record.id
        );
        return Term::new("verdict", false, words);
    };
    if is_void(world, wish, source, found) {
        let words = format!(
            "check `{check}` was made in `{source}` before its manifests were changed by hand, so it does not count; {asked}"
        );
        return Term::new("verdict", false, words);
    }
    let mut words = format!(
        "check `{check}` {} in `{source}` at {}, {asked}",
        found.word(),
        found.at
    );
    if !found.passed && !found.summary.is_empty() {
        words = format!("{words}: {}", found.summary);
    }
    Term::new("verdict", found.passed && !found.unknown, words)
}

/// The newest counts: a later failure beats an earlier success.
fn newest_verdict<'a>(
    world: &'a World,
    wish: &Wish,
    source: &EnvironmentName,
    check: &str,
) -> Option<&'a Verdict> {
    let known = world
        .verdicts
        .get(&(source.clone(), wish.service.clone()))?;
    known
        .iter()
        .filter(|verdict| verdict.check == check && verdict.artifact == wish.artifact.digest)
        .max_by_key(|verdict| verdict.at)
}

/// Whether what the source holds is the artifact still, but not the bytes that were checked.
fn is_void(world: &World, wish: &Wish, source: &EnvironmentName, verdict: &Verdict) -> bool {
    let place = (source.clone(), wish.service.clone());
    let runs_it = world
        .releases
        .get(&place)
        .is_some_and(|release| release.artifact == wish.artifact.digest);
    let tree = world.trees.get(&place);
    runs_it && !verdict.tree.is_empty() && tree.is_some_and(|tree| *tree != verdict.tree)
}

fn soak(world: &World, wish: &Wish, now: Timestamp) -> Vec<Term> {
    let times = policies(world, wish).filter_map(|(name, policy)| match policy {
        Policy::Soak { time, .. } => Some((name, *time)),
        _ => None,
    });
    times
        .map(|(name, time)| soaked(world, wish, name, time, now))
        .collect()
}

fn soaked(
    world: &World,
    wish: &Wish,
    policy: &PolicyName,
    time: SignedDuration,
    now: Timestamp,
) -> Term {
    let id = &wish.artifact.record.id;
    let Some(source) = source(world, wish) else {
        let words = format!(
            "policy `{policy}` asks for {time:#}, but `{}` is promoted from nowhere",
            wish.environment
        );
        return Term::new("soak", false, words);
    };
    let place = (source.clone(), wish.service.clone());
    let since = world
        .verified
        .get(&place)
        .into_iter()
        .flatten()
        .filter(|verified| verified.artifact == wish.artifact.digest)
        .map(|verified| verified.at)
        .min();
    let Some(since) = since else {
        let words =
            format!("`{id}` was never healthy in `{source}`; policy `{policy}` asks for {time:#}");
        return Term::new("soak", false, words);
    };
    let passed = now.duration_since(since);
    if passed >= time {
        let words = format!(
            "`{id}` is healthy in `{source}` since {since}, longer than the {time:#} of policy `{policy}`"
        );
        return Term::new("soak", true, words);
    }
    let left = SignedDuration::from_secs((time - passed).as_secs());
    let words = format!(
        "`{id}` is healthy in `{source}` since {since}; {left:#} of the {time:#} of policy `{policy}` are left"
    );
    Term::new("soak", false, words)
}

fn freeze(world: &World, wish: &Wish, now: Timestamp) -> Option<Term> {
    let place = (wish.environment.clone(), wish.service.clone());
    match freezing(world, &place, now) {
        Freezing::Free => None,
        Freezing::Allowed { by } => Some(Term::new(
            "freeze",
            true,
            format!(
                "window `{by}` allows releases to `{}` now",
                wish.environment
            ),
        )),
        Freezing::Frozen { words } => Some(Term::new("freeze", false, words)),
    }
}

fn environment_cycle(world: &World, wish: &Wish) -> Option<Term> {
    let circle = cycle(&world.environments, &wish.environment)?;
    let names = joined(circle.iter().map(|name| format!("`{name}`")));
    Some(Term::new(
        "graph",
        false,
        format!(
            "environments are promoted from each other in a circle: {names}; correct `promotes_from`"
        ),
    ))
}

#[cfg(test)]
mod tests;
