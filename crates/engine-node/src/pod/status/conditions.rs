//! A pod's conditions, and since when they are as they are.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCondition, PodStatus};

use super::{PodPhase, is_ready, time};
use crate::pod::fields::{self, Role};
use crate::pod::state::{PodState, Preparation};

/// All conditions this node is responsible for.
pub(super) fn conditions(
    pod: &Pod,
    state: &PodState,
    phase: PodPhase,
    previous: Option<&PodStatus>,
    now: Timestamp,
) -> Vec<PodCondition> {
    let unready = unready_containers(pod, state);
    let not_ready = if phase == PodPhase::Succeeded {
        Some(("PodCompleted", String::new()))
    } else if phase == PodPhase::Failed {
        Some(("PodFailed", String::new()))
    } else if unready.is_empty() {
        None
    } else {
        Some((
            "ContainersNotReady",
            format!("containers with unready status: [{}]", unready.join(" ")),
        ))
    };
    let waiting_for: Vec<&str> = fields::containers(pod)
        .filter(|(role, container)| match role {
            Role::Init => !state.container(&container.name).has_succeeded(),
            Role::Sidecar => !state.container(&container.name).is_started,
            Role::Main => false,
        })
        .map(|(_, container)| container.name.as_str())
        .collect();
    let begun = !matches!(phase, PodPhase::Pending);
    let not_initialized = (!waiting_for.is_empty() && !begun).then(|| {
        (
            "ContainersNotInitialized",
            format!(
                "containers with incomplete status: [{}]",
                waiting_for.join(" ")
            ),
        )
    });
    let gate = failing_gate(pod);
    let ready = not_ready.clone().or(gate);
    [
        (
            "PodReadyToStartContainers",
            (state.preparation != Preparation::Done).then(|| ("", String::new())),
        ),
        ("Initialized", not_initialized),
        ("Ready", ready),
        ("ContainersReady", not_ready),
        ("PodScheduled", None),
    ]
    .into_iter()
    .map(|(kind, trouble)| condition(pod, kind, trouble, previous, now))
    .collect()
}

fn unready_containers(pod: &Pod, state: &PodState) -> Vec<String> {
    fields::containers(pod)
        .filter(|(role, container)| {
            *role != Role::Init && !is_ready(&state.container(&container.name))
        })
        .map(|(_, container)| container.name.clone())
        .collect()
}

/// A readiness gate that somebody else has not opened.
fn failing_gate(pod: &Pod) -> Option<(&'static str, String)> {
    let known = pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    let open = |kind: &str| {
        known.is_some_and(|all| {
            all.iter()
                .any(|one| one.type_ == kind && one.status == "True")
        })
    };
    fields::spec(pod)
        .readiness_gates
        .iter()
        .flatten()
        .find(|gate| !open(&gate.condition_type))
        .map(|gate| {
            (
                "ReadinessGatesNotReady",
                format!(
                    "corresponding condition of pod readiness gate \"{}\" is not True",
                    gate.condition_type
                ),
            )
        })
}

fn condition(
    pod: &Pod,
    kind: &str,
    trouble: Option<(&str, String)>,
    previous: Option<&PodStatus>,
    now: Timestamp,
) -> PodCondition {
    let value = if trouble.is_none() { "True" } else { "False" };
    let known = previous
        .and_then(|status| status.conditions.as_ref())
        .and_then(|all| all.iter().find(|one| one.type_ == kind));
    let since = known
        .filter(|one| one.status == value)
        .and_then(|one| one.last_transition_time.clone())
        .unwrap_or_else(|| time(now));
    let (reason, message) = trouble.unzip();
    let told = |words: String| (!words.is_empty()).then_some(words);
    PodCondition {
        type_: kind.to_owned(),
        status: value.to_owned(),
        reason: reason.map(str::to_owned).and_then(told),
        message: message.and_then(told),
        last_transition_time: Some(since),
        observed_generation: pod.metadata.generation,
        ..PodCondition::default()
    }
}
