//! Conditions of a Deployment: a transition time moves only with the status.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::DeploymentCondition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

pub(super) const AVAILABLE: &str = "Available";
pub(super) const PROGRESSING: &str = "Progressing";
pub(super) const REPLICA_FAILURE: &str = "ReplicaFailure";

pub(super) const NEW_SET_AVAILABLE: &str = "NewReplicaSetAvailable";
pub(super) const TIMED_OUT: &str = "ProgressDeadlineExceeded";
pub(super) const PAUSED: &str = "DeploymentPaused";
pub(super) const RESUMED: &str = "DeploymentResumed";

pub(super) fn get<'a>(
    conditions: &'a [DeploymentCondition],
    kind: &str,
) -> Option<&'a DeploymentCondition> {
    conditions.iter().find(|condition| condition.type_ == kind)
}

pub(super) fn remove(conditions: &mut Vec<DeploymentCondition>, kind: &str) {
    conditions.retain(|condition| condition.type_ != kind);
}

/// What a condition should say.
#[derive(Clone, Debug)]
pub(super) struct Finding<'a> {
    pub(super) kind: &'a str,
    pub(super) status: &'a str,
    pub(super) reason: &'a str,
    pub(super) message: String,
}

/// Sets the condition; one with the same status and reason stays untouched.
pub(super) fn set(conditions: &mut Vec<DeploymentCondition>, finding: Finding<'_>, now: Timestamp) {
    let unchanged = get(conditions, finding.kind).is_some_and(|known| {
        known.status == finding.status && known.reason.as_deref() == Some(finding.reason)
    });
    if !unchanged {
        replace(conditions, finding, now);
    }
}

/// Sets the condition and its update time even if it said the same before.
pub(super) fn replace(
    conditions: &mut Vec<DeploymentCondition>,
    finding: Finding<'_>,
    now: Timestamp,
) {
    let transition = get(conditions, finding.kind)
        .filter(|known| known.status == finding.status)
        .and_then(|known| known.last_transition_time.clone())
        .unwrap_or(Time(now));
    remove(conditions, finding.kind);
    conditions.push(DeploymentCondition {
        type_: finding.kind.to_owned(),
        status: finding.status.to_owned(),
        reason: Some(finding.reason.to_owned()),
        message: Some(finding.message),
        last_update_time: Some(Time(now)),
        last_transition_time: Some(transition),
    });
}
