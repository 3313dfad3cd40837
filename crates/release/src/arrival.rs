//! What policies make of an artifact that has just arrived.

use foreshore_model::config::Policy;
use foreshore_model::{Actor, Intent};

use crate::decide::Wish;
use crate::pattern::matches;
use crate::world::{Candidate, World};

/// An artifact in the registry, as a policy sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrival {
    pub artifact: Candidate,
}

/// Returns one wish for each environment that a policy wants the artifact in.
///
/// The key is made of what is wished for: however often an arrival is noticed,
/// it is released once.
pub fn arrival(world: &World, arrival: &Arrival) -> Vec<Wish> {
    let record = &arrival.artifact.record;
    let mut wishes: Vec<Wish> = Vec::new();
    for (name, policy) in &world.policies {
        let tag = record.source.tag.as_deref();
        let (environment, why) = match policy {
            Policy::AutoRelease {
                environment,
                branch,
                ..
            } if matches(branch, &record.source.branch) => {
                (environment, format!("branch {}", record.source.branch))
            }
            Policy::AutoReleaseTag {
                environment,
                tag: pattern,
                ..
            } if tag.is_some_and(|tag| matches(pattern, tag)) => {
                (environment, format!("tag {}", tag.unwrap_or_default()))
            }
            _ => continue,
        };
        let meant = policy.is_about(environment, &record.service)
            && !wishes.iter().any(|wish| wish.environment == *environment);
        if !meant {
            continue;
        }
        wishes.push(Wish {
            service: record.service.clone(),
            environment: environment.clone(),
            artifact: arrival.artifact.clone(),
            intent: Intent::AutoRelease {
                policy: name.to_string(),
            },
            actor: Actor::automation(),
            reason: format!("policy {name}: {why} by {}", record.source.author),
            key: format!(
                "arrival/{environment}/{}/{}",
                record.service,
                arrival.artifact.digest.hex()
            ),
            expected: None,
            hold: false,
        });
    }
    wishes
}
