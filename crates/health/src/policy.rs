//! Rules of autoscalers and disruption budgets.

use crate::assess::{Context, or};
use crate::object::{Object, age};
use crate::state::{Health, State};

/// An autoscaler never fails: the workload it scales still runs.
pub(crate) fn autoscaler(object: Object<'_>, context: &Context<'_>) -> Health {
    if !object.has_conditions() {
        return Health::new(
            State::InProgress,
            object.cause("NotObserved", "its controller has not looked at it yet"),
        );
    }
    if let Some(found) = object.unmet("AbleToScale") {
        return Health::new(
            State::Degraded,
            object.cause(or(found.reason, "UnableToScale"), found.message),
        );
    }
    if let Some(found) = object.unmet("ScalingActive") {
        let young = age(context.since, context.now) < context.options.metrics_after;
        let state = match found.reason {
            "ScalingDisabled" => State::Suspended,
            _ if young => State::InProgress,
            _ => State::Degraded,
        };
        return Health::new(
            state,
            object.cause(or(found.reason, "ScalingInactive"), found.message),
        );
    }
    match object.met("ScalingLimited") {
        Some(found) => Health {
            state: State::Current,
            causes: vec![object.cause(or(found.reason, "ScalingLimited"), found.message)],
        },
        None => Health::current(),
    }
}

pub(crate) fn disruption_budget(object: Object<'_>) -> Health {
    match object.condition("DisruptionAllowed") {
        None if !object.has_conditions() => Health::new(
            State::InProgress,
            object.cause("NotObserved", "its controller has not looked at it yet"),
        ),
        Some(found) if found.reason == "SyncFailed" => {
            Health::new(State::Failed, object.cause("SyncFailed", found.message))
        }
        Some(found) if found.is_false() => Health {
            state: State::Current,
            causes: vec![object.cause(or(found.reason, "InsufficientPods"), found.message)],
        },
        _ => Health::current(),
    }
}
