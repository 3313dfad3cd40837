//! The common order of the rules: absent, leaving, stale, then by kind.

use foreshore_model::outcome::Cause;
use jiff::Timestamp;
use serde_json::Value;

use crate::class;
use crate::job;
use crate::network;
use crate::object::Object;
use crate::options::Options;
use crate::pod;
use crate::policy;
use crate::state::{Health, State};
use crate::storage;
use crate::workload;

/// What is true outside the objects at the moment of the question.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    pub now: Timestamp,
    /// When the release was written that the objects belong to.
    pub since: Timestamp,
    /// The `resourceVersion` that our apply of the object returned; an older
    /// copy is not judged.
    pub applied: Option<&'a str>,
    pub options: &'a Options,
}

/// The objects around the one in question.
#[derive(Debug, Clone, Copy, Default)]
pub struct Related<'a> {
    /// Pods, replica sets, services and so on, of any kind, in any order.
    pub objects: &'a [&'a Value],
    /// Kinds of which `objects` holds all in the namespace; only of these is
    /// absence known.
    pub listed: &'a [&'a str],
}

impl<'a> Related<'a> {
    pub(crate) fn of_kind(self, kind: &'a str) -> impl Iterator<Item = Object<'a>> {
        self.objects
            .iter()
            .map(|value| Object(value))
            .filter(move |object| object.kind() == kind)
    }

    pub(crate) fn controlled_by(
        self,
        kind: &'a str,
        uid: &'a str,
    ) -> impl Iterator<Item = Object<'a>> {
        self.of_kind(kind)
            .filter(move |object| object.is_controlled_by(uid))
    }

    /// Whether it is known that no object of this name exists.
    pub(crate) fn is_absent(self, kind: &'a str, name: &str) -> bool {
        self.listed.contains(&kind) && !self.of_kind(kind).any(|object| object.name() == name)
    }
}

/// Kinds whose controllers always write `status.observedGeneration`.
const ALWAYS_OBSERVED: [&str; 5] = [
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "ReplicaSet",
    "PodDisruptionBudget",
];

/// Returns the state of `object`, and why.
///
/// `name` says in causes which object is meant when there is none to ask.
pub fn assess(
    name: &str,
    object: Option<&Value>,
    related: Related<'_>,
    context: &Context<'_>,
) -> Health {
    let Some(object) = object.map(Object) else {
        let cause = Cause {
            object: name.to_owned(),
            container: None,
            reason: "Missing".to_owned(),
            message: "the object does not exist".to_owned(),
            exit_code: None,
            log: Vec::new(),
        };
        return Health::new(State::Missing, cause);
    };
    if object.is_terminating() {
        return Health::new(
            State::Terminating,
            object.cause("Terminating", "the object is being deleted"),
        );
    }
    if is_older(object, context.applied) {
        let message = "waiting for the state after the last write";
        return Health::new(State::InProgress, object.cause("Stale", message));
    }
    if let Some(health) = unobserved(object).or_else(|| standard_conditions(object)) {
        return health;
    }
    by_kind(object, related, context)
}

fn is_older(object: Object<'_>, applied: Option<&str>) -> bool {
    let Some(applied) = applied else { return false };
    let number = |text: &str| text.parse::<u64>().ok();
    let seen = object.text("/metadata/resourceVersion").unwrap_or_default();
    match (number(seen), number(applied)) {
        (Some(seen), Some(applied)) => seen < applied,
        // Versions that are no numbers cannot be ordered; only the same one is known to be fresh enough,
        // and waiting for it could be for ever once the object has moved on.
        _ => false,
    }
}

fn unobserved(object: Object<'_>) -> Option<Health> {
    let observed = object.int("/status/observedGeneration");
    let generation = object.int("/metadata/generation");
    let waits = match (observed, generation) {
        (Some(observed), Some(generation)) => observed != generation,
        (None, Some(_)) => ALWAYS_OBSERVED.contains(&object.kind()),
        _ => false,
    };
    waits.then(|| {
        let message = "its controller has not seen the last change yet";
        Health::new(State::InProgress, object.cause("NotObserved", message))
    })
}

fn standard_conditions(object: Object<'_>) -> Option<Health> {
    if let Some(found) = object.met("Reconciling") {
        return Some(Health::new(
            State::InProgress,
            object.cause(or(found.reason, "Reconciling"), found.message),
        ));
    }
    let found = object.met("Stalled")?;
    Some(Health::new(
        State::Failed,
        object.cause(or(found.reason, "Stalled"), found.message),
    ))
}

/// Returns the reason a controller gave, or ours if it gave none.
pub(crate) fn or<'a>(given: &'a str, ours: &'a str) -> &'a str {
    if given.is_empty() { ours } else { given }
}

fn by_kind(object: Object<'_>, related: Related<'_>, context: &Context<'_>) -> Health {
    match (object.group(), object.kind()) {
        ("apps", "Deployment") => workload::deployment(object, related, context),
        ("apps", "ReplicaSet") => workload::replica_set(object),
        ("apps", "StatefulSet") => workload::stateful_set(object, related, context),
        ("apps", "DaemonSet") => workload::daemon_set(object, related, context),
        ("batch", "Job") => job::job(object),
        ("batch", "CronJob") => job::cron_job(object),
        ("", "PersistentVolumeClaim") => storage::claim(object, related),
        ("", "Service") => network::service(object, context),
        ("networking.k8s.io", "Ingress") => network::ingress(object, related),
        ("autoscaling", "HorizontalPodAutoscaler") => policy::autoscaler(object, context),
        ("policy", "PodDisruptionBudget") => policy::disruption_budget(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => class::definition(object),
        ("apiregistration.k8s.io", "APIService") => class::api_service(object),
        ("", "Pod") => pod::pod(object, context),
        ("", "Namespace") => class::namespace(object),
        _ => class::other(object, related, context),
    }
}
