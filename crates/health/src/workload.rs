//! Rules of deployments, replica sets, stateful sets and daemon sets.

use crate::assess::{Context, Related, or};
use crate::object::{Object, age};
use crate::pod::{self, Revision, Trouble};
use crate::state::{CAUSES_MAX, Health, State};

/// Annotation in which a deployment numbers its replica sets.
const REVISION: &str = "deployment.kubernetes.io/revision";
/// `progressDeadlineSeconds` that means: no deadline.
const NO_DEADLINE: i64 = i32::MAX as i64;

pub(crate) fn deployment(
    object: Object<'_>,
    related: Related<'_>,
    context: &Context<'_>,
) -> Health {
    if object.flag("/spec/paused") {
        return Health::new(
            State::Suspended,
            object.cause("Paused", "the deployment is paused"),
        );
    }
    let progressing = object.condition("Progressing");
    let proven = progressing.is_some_and(|found| found.reason == "NewReplicaSetAvailable");
    let revision = if proven {
        Revision::Proven
    } else {
        Revision::New
    };
    let pods = newest_pods(object, related);
    let exceeded = progressing.filter(|found| found.reason == "ProgressDeadlineExceeded");
    if let Some(found) = exceeded {
        let base = Health::new(State::Failed, object.cause(found.reason, found.message));
        return overlaid(base, &pods, revision, context);
    }
    if let Some(found) = object.met("ReplicaFailure") {
        let late = found.lasts(context.now, context.options.replica_failure_after);
        let state = if late {
            State::Failed
        } else {
            State::InProgress
        };
        return Health::new(
            state,
            object.cause(or(found.reason, "ReplicaFailure"), found.message),
        );
    }
    let base = deployment_counts(object).unwrap_or_else(|| unprobed(object, &pods, context));
    overlaid(base, &pods, revision, context)
}

/// Returns the first count or condition that is not as wanted.
fn deployment_counts(object: Object<'_>) -> Option<Health> {
    let want = object.int("/spec/replicas").unwrap_or(1);
    let [total, updated, available, ready] = [
        "replicas",
        "updatedReplicas",
        "availableReplicas",
        "readyReplicas",
    ]
    .map(|field| object.count(&format!("/status/{field}")));
    let pending = |message: String| {
        Some(Health::new(
            State::InProgress,
            object.cause("Progressing", message),
        ))
    };
    if total < want {
        return pending(format!("{total} of {want} replicas exist"));
    }
    if updated < want {
        return pending(format!(
            "{updated} of {want} replicas are of the new revision"
        ));
    }
    if total > updated {
        return pending(format!(
            "{} old replicas are still leaving",
            total - updated
        ));
    }
    if available < updated {
        return pending(format!(
            "{available} of {updated} new replicas are available"
        ));
    }
    if ready < want {
        return pending(format!("{ready} of {want} replicas are ready"));
    }
    let is_available = object
        .condition("Available")
        .is_some_and(|found| found.is_true());
    if want > 0 && !is_available {
        return pending("the deployment is not available".to_owned());
    }
    let has_deadline = object
        .int("/spec/progressDeadlineSeconds")
        .is_some_and(|seconds| seconds != NO_DEADLINE);
    let done = object
        .condition("Progressing")
        .is_some_and(|found| found.reason == "NewReplicaSetAvailable");
    if has_deadline && !done {
        return pending("the new replica set is not marked available yet".to_owned());
    }
    None
}

/// Holds back for a moment when nothing probes the containers.
///
/// Without a readiness probe a process counts as ready the instant it starts,
/// also one that dies in the next.
fn unprobed(object: Object<'_>, pods: &[Object<'_>], context: &Context<'_>) -> Health {
    let containers = object.list("/spec/template/spec/containers");
    let probed = containers
        .iter()
        .map(Object)
        .all(|container| container.has("/readinessProbe"));
    if probed || object.count("/spec/minReadySeconds") > 0 {
        return Health::current();
    }
    let needed = context.options.unprobed_ready_for;
    let young = pods.iter().any(|pod| {
        let since = pod.met("Ready").and_then(|found| found.since);
        since.is_some_and(|since| age(since, context.now) < needed)
    });
    if young {
        let message = "no readiness probe: waiting whether the container keeps running";
        return Health::new(State::InProgress, object.cause("Settling", message));
    }
    Health::current()
}

/// The pods of the replica set with the highest revision.
fn newest_pods<'a>(object: Object<'a>, related: Related<'a>) -> Vec<Object<'a>> {
    let number = |set: &Object<'_>| {
        set.annotation(REVISION)
            .and_then(|text| text.parse::<u64>().ok())
            .unwrap_or(0)
    };
    let newest = related
        .controlled_by("ReplicaSet", object.uid())
        .max_by_key(number);
    newest.map_or_else(Vec::new, |set| {
        related.controlled_by("Pod", set.uid()).collect()
    })
}

/// Puts what is wrong with the pods on top of what the counts say.
fn overlaid(
    base: Health,
    pods: &[Object<'_>],
    revision: Revision,
    context: &Context<'_>,
) -> Health {
    if base.state == State::Current {
        return base;
    }
    let troubles: Vec<Trouble> = pods
        .iter()
        .flat_map(|pod| pod::troubles(*pod, revision, context))
        .collect();
    let (found, mut causes) = pod::verdict(troubles);
    let state = if found == State::Failed {
        State::Failed
    } else {
        base.state
    };
    causes.extend(base.causes);
    causes.truncate(CAUSES_MAX);
    Health { state, causes }
}

pub(crate) fn replica_set(object: Object<'_>) -> Health {
    if let Some(found) = object.met("ReplicaFailure") {
        return Health::new(
            State::Degraded,
            object.cause(or(found.reason, "ReplicaFailure"), found.message),
        );
    }
    let want = object.int("/spec/replicas").unwrap_or(1);
    for (field, words) in [
        ("replicas", "replicas exist"),
        ("readyReplicas", "replicas are ready"),
        ("availableReplicas", "replicas are available"),
    ] {
        let have = object.count(&format!("/status/{field}"));
        if have < want {
            return Health::new(
                State::InProgress,
                object.cause("Progressing", format!("{have} of {want} {words}")),
            );
        }
    }
    let total = object.count("/status/replicas");
    if total > want {
        return Health::new(
            State::InProgress,
            object.cause(
                "Progressing",
                format!("{} replicas are leaving", total - want),
            ),
        );
    }
    Health::current()
}

pub(crate) fn stateful_set(
    object: Object<'_>,
    related: Related<'_>,
    context: &Context<'_>,
) -> Health {
    let newest = object.text("/status/updateRevision").unwrap_or_default();
    let proven = !newest.is_empty() && object.text("/status/currentRevision") == Some(newest);
    let revision = if proven {
        Revision::Proven
    } else {
        Revision::New
    };
    let pods: Vec<Object<'_>> = related
        .controlled_by("Pod", object.uid())
        .filter(|pod| newest.is_empty() || pod.label("controller-revision-hash") == Some(newest))
        .collect();
    overlaid(stateful_set_counts(object), &pods, revision, context)
}

fn stateful_set_counts(object: Object<'_>) -> Health {
    let want = object.int("/spec/replicas").unwrap_or(1);
    let pending =
        |message: String| Health::new(State::InProgress, object.cause("Progressing", message));
    let total = object.count("/status/replicas");
    if total < want {
        return pending(format!("{total} of {want} replicas exist"));
    }
    let ready = object.count("/status/readyReplicas");
    if ready < want {
        return pending(format!("{ready} of {want} replicas are ready"));
    }
    if let Some(available) = object
        .int("/status/availableReplicas")
        .filter(|available| *available < want)
    {
        return pending(format!("{available} of {want} replicas are available"));
    }
    if total > want {
        return pending(format!("{} replicas are leaving", total - want));
    }
    let updated = object.count("/status/updatedReplicas");
    let same_revision =
        object.text("/status/currentRevision") == object.text("/status/updateRevision");
    if object.text("/spec/updateStrategy/type") == Some("OnDelete") {
        if same_revision || updated >= want {
            return Health::current();
        }
        let message = format!(
            "{} pods run the old revision until they are deleted",
            want - updated
        );
        return Health {
            state: State::Current,
            causes: vec![object.cause("OnDelete", message)],
        };
    }
    let partition = object.count("/spec/updateStrategy/rollingUpdate/partition");
    if partition > 0 {
        let needed = (want - partition).max(0);
        if updated < needed {
            return pending(format!(
                "{updated} of {needed} replicas beyond the partition are updated"
            ));
        }
        let message = format!("replicas below {partition} keep the old revision");
        return Health {
            state: State::Current,
            causes: vec![object.cause("Partition", message)],
        };
    }
    if !same_revision {
        return pending(format!(
            "{updated} of {want} replicas are of the new revision"
        ));
    }
    if updated < want {
        return pending(format!("{updated} of {want} replicas are updated"));
    }
    Health::current()
}

pub(crate) fn daemon_set(
    object: Object<'_>,
    related: Related<'_>,
    context: &Context<'_>,
) -> Health {
    let newest = related
        .controlled_by("ControllerRevision", object.uid())
        .max_by_key(|revision| revision.count("/revision"))
        .and_then(|revision| revision.label("controller-revision-hash"));
    let pods: Vec<Object<'_>> = related
        .controlled_by("Pod", object.uid())
        .filter(|pod| newest.is_none() || pod.label("controller-revision-hash") == newest)
        .collect();
    overlaid(daemon_set_counts(object), &pods, Revision::New, context)
}

fn daemon_set_counts(object: Object<'_>) -> Health {
    let pending =
        |message: String| Health::new(State::InProgress, object.cause("Progressing", message));
    let Some(desired) = object.int("/status/desiredNumberScheduled") else {
        return pending("its controller has not counted the nodes yet".to_owned());
    };
    if desired == 0 {
        let cause = object.cause("NoNodes", "no node matches its selector");
        return Health {
            state: State::Current,
            causes: vec![cause],
        };
    }
    let on_delete = object.text("/spec/updateStrategy/type") == Some("OnDelete");
    for (field, words) in [
        ("currentNumberScheduled", "nodes have a pod"),
        ("updatedNumberScheduled", "nodes have the new pod"),
        ("numberAvailable", "pods are available"),
        ("numberReady", "pods are ready"),
    ] {
        let have = object.count(&format!("/status/{field}"));
        let skipped = on_delete && field == "updatedNumberScheduled";
        if have < desired && !skipped {
            return pending(format!("{have} of {desired} {words}"));
        }
    }
    match object.count("/status/numberMisscheduled") {
        0 => Health::current(),
        misplaced => {
            let cause = object.cause(
                "Misscheduled",
                format!("{misplaced} pods run on nodes they should not"),
            );
            Health {
                state: State::Current,
                causes: vec![cause],
            }
        }
    }
}
