//! Which artifact a request means.

use foreshore_model::api::Selection;
use foreshore_model::{ArtifactId, Digest, EnvironmentName, Intent, ServiceName};

use crate::refusal::Refusal;
use crate::world::World;

/// The artifact that is meant, and what the release is then meant as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selected {
    /// Known by content.
    Digest { digest: Digest, intent: Intent },
    /// To be looked up among the service's artifacts.
    Id { id: ArtifactId, intent: Intent },
    /// The newest artifact of this branch.
    Newest { branch: String, intent: Intent },
}

/// Resolves what can be resolved from the world alone; `rollback` says that an earlier artifact is named.
pub fn select(
    world: &World,
    service: &ServiceName,
    environment: &EnvironmentName,
    selection: &Selection,
    rollback: bool,
) -> Result<Selected, Refusal> {
    let target = world.environment(environment)?;
    let named = || -> Result<Intent, Refusal> {
        if rollback {
            let current = world.release(environment, service)?;
            return Ok(Intent::Rollback {
                from: current.artifact.clone(),
            });
        }
        Ok(Intent::Release)
    };
    match selection {
        Selection::Id(id) => Ok(Selected::Id {
            id: id.clone(),
            intent: named()?,
        }),
        Selection::Digest(digest) => Ok(Selected::Digest {
            digest: digest.clone(),
            intent: named()?,
        }),
        Selection::Branch(branch) => Ok(Selected::Newest {
            branch: branch.clone(),
            intent: Intent::ReleaseBranch {
                branch: branch.clone(),
            },
        }),
        Selection::From(from) => {
            let from = from
                .clone()
                .or_else(|| target.promotes_from.clone())
                .ok_or_else(|| {
                    Refusal::usage(format!(
                        "`{environment}` has no environment to promote from"
                    ))
                    .hint("name one with --from, or use `foreshore release`")
                })?;
            if from == *environment {
                return Err(Refusal::usage(format!(
                    "`{environment}` cannot be promoted from itself"
                )));
            }
            let source = world.release(&from, service)?;
            Ok(Selected::Digest {
                digest: source.artifact.clone(),
                intent: Intent::Promote { from },
            })
        }
        Selection::LastVerified => last_verified(world, service, environment),
    }
}

fn last_verified(
    world: &World,
    service: &ServiceName,
    environment: &EnvironmentName,
) -> Result<Selected, Refusal> {
    let current = world.release(environment, service)?;
    let place = (environment.clone(), service.clone());
    let earlier = world
        .verified
        .get(&place)
        .into_iter()
        .flatten()
        .filter(|verified| {
            verified.sequence < current.sequence && verified.artifact != current.artifact
        })
        .max_by_key(|verified| verified.sequence);
    let earlier = earlier.ok_or_else(|| {
        Refusal::not_found(format!(
            "no earlier artifact of `{service}` was ever healthy in `{environment}`"
        ))
        .hint("name one with --artifact ID; `foreshore artifact list` shows them")
    })?;
    Ok(Selected::Digest {
        digest: earlier.artifact.clone(),
        intent: Intent::Rollback {
            from: current.artifact.clone(),
        },
    })
}
