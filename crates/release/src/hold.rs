//! Holds: a manual pin that keeps automation away.

use foreshore_model::{Actor, EnvironmentName, Hold, ServiceName, yaml};
use jiff::Timestamp;

use crate::commit::{Commit, Decision, Step};
use crate::refusal::Refusal;
use crate::world::{Place, World};

fn path(environment: &EnvironmentName, service: &ServiceName) -> String {
    format!("holds/{environment}/{service}.yaml")
}

pub(crate) fn hold_step(
    environment: &EnvironmentName,
    service: &ServiceName,
    actor: &Actor,
    reason: &str,
    now: Timestamp,
) -> Result<(Step, Hold), Refusal> {
    let hold = Hold {
        actor: actor.clone(),
        reason: reason.to_owned(),
        at: now,
    };
    let text = yaml::write(&hold).map_err(|error| Refusal::usage(error.to_string()))?;
    Ok((
        Step::Write {
            path: path(environment, service),
            text,
        },
        hold,
    ))
}

/// Sets or replaces a hold.
pub fn hold(
    world: &World,
    place: &Place,
    actor: &Actor,
    reason: &str,
    key: &str,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    let (environment, service) = place;
    world.release(environment, service)?;
    if reason.trim().is_empty() {
        return Err(Refusal::usage("a hold needs a reason").hint("give one with --reason"));
    }
    let (step, hold) = hold_step(environment, service, actor, reason, now)?;
    Ok(change(place, actor, reason, key, ("hold", step), hold))
}

/// Lifts a hold.
pub fn lift(world: &World, place: &Place, actor: &Actor, key: &str) -> Result<Decision, Refusal> {
    let (environment, service) = place;
    world.release(environment, service)?;
    let Some(hold) = world.holds.get(place) else {
        return Ok(Decision::NotHeld);
    };
    let step = Step::Remove {
        path: path(environment, service),
    };
    Ok(change(
        place,
        actor,
        &hold.reason,
        key,
        ("lift the hold of", step),
        hold.clone(),
    ))
}

fn change(
    place: &Place,
    actor: &Actor,
    reason: &str,
    key: &str,
    (verb, step): (&str, Step),
    hold: Hold,
) -> Decision {
    let (environment, service) = place;
    let subject = format!(
        "[{environment}/{service}] {verb} {service} by {}",
        actor.name
    );
    let mut commit = Commit::plain(subject, vec![step], actor, reason, key);
    commit.hold = Some(hold);
    commit.into()
}
