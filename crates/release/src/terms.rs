//! Whether an artifact may enter an environment, term by term.

use foreshore_model::config::Policy;
use foreshore_model::{Intent, yaml};

use crate::decide::Wish;
use crate::pattern::matches;
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
pub fn terms(world: &World, wish: &Wish) -> Vec<Term> {
    let mut terms = vec![rendered(wish), no_plain_secrets(wish)];
    terms.extend(branch_restrictions(world, wish));
    terms.extend(hold(world, wish));
    terms.extend(source_is_healthy(world, wish));
    terms
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
    let automatic = matches!(wish.intent, Intent::AutoRelease { .. });
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
