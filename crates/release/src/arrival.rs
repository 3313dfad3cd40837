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
        let Policy::AutoRelease {
            environment,
            branch,
            services,
        } = policy
        else {
            continue;
        };
        let meant = matches(branch, &record.source.branch)
            && (services.is_empty() || services.contains(&record.service))
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
            reason: format!(
                "policy {name}: branch {} by {}",
                record.source.branch, record.source.author
            ),
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
