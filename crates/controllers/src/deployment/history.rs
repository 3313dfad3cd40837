//! Revisions: numbering, what a set inherits from its Deployment, and how many are kept.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;

use super::replica_sets::{DESIRED_REPLICAS, Family, MAX_REPLICAS};

/// Which rollout a set (or the Deployment) is at, counted from one.
pub const REVISION: &str = "deployment.kubernetes.io/revision";
const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const ROLLBACK_TO: &str = "deprecated.deployment.rollback.to";

/// Annotations that describe one object and are never handed down.
const OWN: [&str; 6] = [
    LAST_APPLIED,
    REVISION,
    REVISION_HISTORY,
    DESIRED_REPLICAS,
    MAX_REPLICAS,
    ROLLBACK_TO,
];

/// Earlier revisions remembered on a set at most, in characters.
const HISTORY_CHARACTERS_MAX: usize = 2000;

type Annotations = BTreeMap<String, String>;

/// The revision the newest set should carry: one more than any old set.
pub(super) fn next_revision(family: &Family<'_>) -> i64 {
    family
        .old()
        .map(|set| revision(&set.annotations))
        .max()
        .unwrap_or(0)
        + 1
}

pub(super) fn revision(annotations: &Annotations) -> i64 {
    annotations
        .get(REVISION)
        .and_then(|revision| revision.parse().ok())
        .unwrap_or(0)
}

/// The annotations of the Deployment its sets get too.
pub(super) fn inherited(deployment: &Deployment) -> Annotations {
    deployment
        .metadata
        .annotations
        .iter()
        .flatten()
        .filter(|(key, _)| !OWN.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Gives a set what it inherits and, if it moves forward, its new revision.
///
/// A set that comes back in a rollback remembers the revisions it had.
pub(super) fn annotate(annotations: &mut Annotations, inherited: Annotations, next: i64) {
    annotations.extend(inherited);
    let current = revision(annotations);
    if current >= next {
        return;
    }
    if current > 0 {
        let earlier = annotations
            .get(REVISION_HISTORY)
            .cloned()
            .unwrap_or_default();
        let mut revisions: Vec<&str> = earlier.split(',').filter(|one| !one.is_empty()).collect();
        let current = current.to_string();
        revisions.push(&current);
        while revisions.len() > 1 && revisions.join(",").len() > HISTORY_CHARACTERS_MAX {
            revisions.remove(0);
        }
        annotations.insert(REVISION_HISTORY.to_owned(), revisions.join(","));
    }
    annotations.insert(REVISION.to_owned(), next.to_string());
}

/// Writes the revision of the newest set on a copy of the Deployment.
pub(super) fn mark(family: &Family<'_>, deployment: &mut Deployment) {
    if let Some(revision) = family
        .newest()
        .and_then(|newest| newest.annotations.get(REVISION))
    {
        let annotations = deployment.metadata.annotations.get_or_insert_default();
        annotations.insert(REVISION.to_owned(), revision.clone());
    }
}

/// Plans the deletion of the oldest sets beyond the history limit.
pub(super) fn clean_up(family: &mut Family<'_>) {
    let Some(limit) = family.spec.revision_history_limit else {
        return;
    };
    let mut idle: Vec<(i64, usize)> = family
        .old_indexes()
        .into_iter()
        .filter(|&index| {
            family.members[index]
                .stored
                .metadata
                .deletion_timestamp
                .is_none()
        })
        .map(|index| (revision(&family.members[index].annotations), index))
        .collect();
    let surplus = idle
        .len()
        .saturating_sub(usize::try_from(limit).unwrap_or(0));
    idle.sort_unstable();
    for &(_, index) in idle.iter().take(surplus) {
        let set = &mut family.members[index];
        let status = set.status();
        let observed = status.observed_generation >= set.stored.metadata.generation;
        set.is_surplus = status.replicas == 0 && set.replicas == 0 && observed;
    }
}
