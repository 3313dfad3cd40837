//! Times in which releases are denied, or the only ones in which they are allowed.
//!
//! Deny beats allow. What a zone's clock shows comes in with the world: this
//! file asks no machine for it.

use foreshore_model::api::FreezeRequest;
use foreshore_model::freeze::{Day, Effect, Freeze, Window};
use foreshore_model::operations::Changed;
use foreshore_model::{Actor, FreezeName, nearest, yaml};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::commit::{Commit, Decision, Step};
use crate::refusal::Refusal;
use crate::world::{Place, World, joined};

/// Whether a window is open, by the clock of its zone.
pub fn is_open(window: &Window, zone: &TimeZone, now: Timestamp) -> bool {
    let clock = zone.to_datetime(now);
    match window {
        Window::Once { from, until } => *from <= clock && clock < *until,
        Window::Weekly { days, from, until } => {
            let opens_on = |moment: DateTime| days.contains(&Day::of(moment.weekday()));
            let time = clock.time();
            if from < until {
                opens_on(clock) && *from <= time && time < *until
            } else if time >= *from {
                opens_on(clock)
            } else {
                // After midnight the window of the day before may still be open.
                time < *until && clock.yesterday().is_ok_and(opens_on)
            }
        }
    }
}

/// What freezes say about a service at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Freezing {
    /// Nothing is about it.
    Free,
    /// A window that allows is open, and none that denies.
    Allowed { by: FreezeName },
    /// No release now, and why.
    Frozen { words: String },
}

/// Judges every freeze that is about the place; one whose zone is not known denies.
pub fn freezing(world: &World, place: &Place, now: Timestamp) -> Freezing {
    let (environment, service) = place;
    let mut allowed = None;
    let mut closed = Vec::new();
    for (name, freeze) in &world.freezes {
        if !freeze.is_about(environment, service) {
            continue;
        }
        let Some(zone) = world.zones.get(&freeze.time_zone) else {
            let words = format!(
                "freeze `{name}` stands in time zone `{}`, which this server does not know",
                freeze.time_zone
            );
            return Freezing::Frozen { words };
        };
        match (freeze.effect, is_open(&freeze.window, zone, now)) {
            (Effect::Deny, true) => {
                let words = format!(
                    "`{environment}` is frozen by `{name}` ({} {}), set by {}: {}",
                    freeze.window,
                    freeze.time_zone,
                    freeze.changed.actor.name,
                    freeze.changed.reason
                );
                return Freezing::Frozen { words };
            }
            (Effect::Allow, true) => allowed = allowed.or_else(|| Some(name.clone())),
            (Effect::Allow, false) => closed.push(format!("`{name}` ({})", freeze.window)),
            (Effect::Deny, false) => {}
        }
    }
    match (allowed, closed.is_empty()) {
        (Some(by), _) => Freezing::Allowed { by },
        (None, true) => Freezing::Free,
        (None, false) => Freezing::Frozen {
            words: format!(
                "`{environment}` is released into only while one of these is open: {}",
                closed.join(", ")
            ),
        },
    }
}

/// Sets or replaces a freeze.
pub fn freeze(
    world: &World,
    name: &FreezeName,
    request: &FreezeRequest,
    actor: &Actor,
    key: &str,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    for environment in &request.environments {
        world.environment(environment)?;
    }
    if request.reason.trim().is_empty() {
        return Err(Refusal::usage("a freeze needs a reason").hint("give one with --reason"));
    }
    let Some(zone) = world.zones.get(&request.time_zone) else {
        return Err(unknown_zone(world, &request.time_zone));
    };
    check_window(&request.window, zone, now)?;
    let made = Freeze {
        effect: request.effect,
        environments: request.environments.clone(),
        services: request.services.clone(),
        window: request.window.clone(),
        time_zone: request.time_zone.clone(),
        changed: Changed {
            actor: actor.clone(),
            reason: request.reason.clone(),
            at: now,
        },
    };
    let text = yaml::write(&made).map_err(|error| Refusal::usage(error.to_string()))?;
    let subject = format!("[freezes] set {name} by {}", actor.name);
    let step = Step::Write {
        path: path(name),
        text,
    };
    Ok(Commit::plain(subject, vec![step], actor, &request.reason, key).into())
}

/// Takes a freeze away.
pub fn lift_freeze(
    world: &World,
    name: &FreezeName,
    actor: &Actor,
    reason: &str,
    key: &str,
) -> Result<Decision, Refusal> {
    if !world.freezes.contains_key(name) {
        let known = world.freezes.keys().map(FreezeName::as_str);
        let refusal = Refusal::not_found(format!("there is no freeze `{name}`"));
        return Err(match nearest(name.as_str(), known) {
            Some(near) => refusal.hint(format!("did you mean `{near}`?")),
            None if world.freezes.is_empty() => refusal.hint("no freeze is set"),
            None => refusal.hint(format!("known are: {}", joined(world.freezes.keys()))),
        });
    }
    let subject = format!("[freezes] lift {name} by {}", actor.name);
    let step = Step::Remove { path: path(name) };
    Ok(Commit::plain(subject, vec![step], actor, reason, key).into())
}

fn path(name: &FreezeName) -> String {
    format!("freezes/{name}.yaml")
}

fn unknown_zone(world: &World, typed: &str) -> Refusal {
    let refusal = Refusal::usage(format!("`{typed}` is no time zone that this server knows"));
    match nearest(typed, world.zones.keys().map(String::as_str)) {
        Some(near) => refusal.hint(format!("did you mean `{near}`?")),
        None => refusal.hint("use an IANA name like `Europe/Copenhagen` or `UTC`"),
    }
}

fn check_window(window: &Window, zone: &TimeZone, now: Timestamp) -> Result<(), Refusal> {
    match window {
        Window::Once { from, until } if until <= from => Err(Refusal::usage(format!(
            "the freeze ends at {until}, before it begins at {from}"
        ))),
        Window::Once { until, .. } if *until <= zone.to_datetime(now) => Err(Refusal::usage(
            format!("the freeze ended at {until}, in the past"),
        )
        .hint(format!("it is {} there now", zone.to_datetime(now)))),
        Window::Weekly { days, .. } if days.is_empty() => {
            Err(Refusal::usage("a weekly freeze needs a day")
                .hint("give one or more with --day monday"))
        }
        Window::Weekly { from, until, .. } if from == until => Err(Refusal::usage(format!(
            "the freeze begins and ends at {from}"
        ))
        .hint("for a whole day use --from 00:00 --until 23:59:59")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
