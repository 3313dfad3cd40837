//! Definitions, namespaces, and kinds without a rule of their own.

use crate::assess::{Context, Related, or};
use crate::object::{Object, age};
use crate::state::{Health, State};

pub(crate) fn definition(object: Object<'_>) -> Health {
    if let Some(found) = object.met("Terminating") {
        return Health::new(
            State::Terminating,
            object.cause(or(found.reason, "Terminating"), found.message),
        );
    }
    if let Some(found) = object.unmet("NamesAccepted") {
        return Health::new(
            State::Failed,
            object.cause(or(found.reason, "NamesNotAccepted"), found.message),
        );
    }
    if let Some(found) = object.met("NonStructuralSchema") {
        return Health::new(
            State::Failed,
            object.cause(or(found.reason, "NonStructuralSchema"), found.message),
        );
    }
    match object.condition("Established") {
        Some(found) if found.is_true() => Health::current(),
        Some(found) if found.reason == "Installing" => {
            Health::new(State::InProgress, object.cause("Installing", found.message))
        }
        Some(found) => Health::new(
            State::Failed,
            object.cause(or(found.reason, "NotEstablished"), found.message),
        ),
        None => Health::new(
            State::InProgress,
            object.cause("NotEstablished", "the kind is not served yet"),
        ),
    }
}

pub(crate) fn api_service(object: Object<'_>) -> Health {
    match object.condition("Available") {
        Some(found) if found.is_true() => Health::current(),
        Some(found) => Health::new(
            State::InProgress,
            object.cause(or(found.reason, "NotAvailable"), found.message),
        ),
        None => Health::new(
            State::InProgress,
            object.cause("NotAvailable", "its server has not answered yet"),
        ),
    }
}

pub(crate) fn namespace(object: Object<'_>) -> Health {
    match object.text("/status/phase") {
        Some("Terminating") => Health::new(
            State::Terminating,
            object.cause("Terminating", "the namespace is being deleted"),
        ),
        _ => Health::current(),
    }
}

/// Any other kind: its `Ready` condition, if it has conditions at all.
pub(crate) fn other(object: Object<'_>, related: Related<'_>, context: &Context<'_>) -> Health {
    if let Some(ready) = object.condition("Ready") {
        let stale = match (
            ready.observed_generation,
            object.int("/metadata/generation"),
        ) {
            (Some(observed), Some(generation)) => observed < generation,
            _ => false,
        };
        if ready.is_true() && !stale {
            return Health::current();
        }
        let reason = if stale {
            "NotObserved"
        } else {
            or(ready.reason, "NotReady")
        };
        return Health::new(State::InProgress, object.cause(reason, ready.message));
    }
    let young = age(context.since, context.now) < context.options.empty_status_for;
    let empty = object
        .0
        .get("status")
        .is_none_or(|status| status.as_object().is_some_and(serde_json::Map::is_empty));
    if young && empty && has_status_subresource(object, related) {
        return Health::new(
            State::InProgress,
            object.cause("NoStatus", "its controller has not written a status yet"),
        );
    }
    Health::current()
}

fn has_status_subresource(object: Object<'_>, related: Related<'_>) -> bool {
    let version = object
        .text("/apiVersion")
        .and_then(|text| text.split_once('/'))
        .map(|(_, version)| version);
    related
        .of_kind("CustomResourceDefinition")
        .any(|definition| {
            definition.text("/spec/group") == Some(object.group())
                && definition.text("/spec/names/kind") == Some(object.kind())
                && definition
                    .list("/spec/versions")
                    .iter()
                    .map(Object)
                    .any(|served| {
                        served.text("/name") == version && served.has("/subresources/status")
                    })
        })
}
