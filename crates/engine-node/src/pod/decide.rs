//! What to do next for a pod: the rules of a kubelet as a function.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, Pod};

use super::backoff::later;
use super::fields::{self, RestartPolicy, Role};
use super::state::{ContainerState, Failure, Phase, PodState, Preparation};

/// How long to wait before preparing a pod again.
const PREPARE_AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(5);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Make volumes and whatever else all containers need.
    Prepare,
    Start {
        container: String,
    },
    /// Ask a container to end, and kill it at `deadline` if it has not.
    Stop {
        container: String,
        deadline: Timestamp,
        why: String,
    },
    /// End the pod for good.
    Fail(Failure),
    /// Nothing of the pod runs any more: forget it here and in the API.
    Remove,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Decision {
    pub actions: Vec<Action>,
    /// When to decide again even if nothing happens.
    pub wake_at: Option<Timestamp>,
}

impl Decision {
    fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |known| known.min(at)));
    }
}

/// Decides from what is asked for and what is known. Deciding twice without
/// carrying anything out gives the same answer.
pub(crate) fn decide(pod: &Pod, state: &PodState, now: Timestamp) -> Decision {
    let mut decision = Decision::default();
    if fields::deletion(pod).is_some() {
        if stop_all(pod, state, now, &mut decision, "pod is being deleted") && !state.is_active() {
            decision.actions.push(Action::Remove);
        }
        return decision;
    }
    if let Some(failure) = &state.failure {
        stop_all(pod, state, now, &mut decision, &failure.reason);
        return decision;
    }
    if state.is_over {
        return decision;
    }
    if let Some(failure) = deadline(pod, state, now, &mut decision) {
        decision.actions.push(Action::Fail(failure));
        return decision;
    }
    if !prepared(state, now, &mut decision) {
        return decision;
    }
    for (_, container) in fields::containers(pod) {
        stop_unhealthy(
            pod,
            container,
            &state.container(&container.name),
            now,
            &mut decision,
        );
    }
    if start_early(pod, state, now, &mut decision) {
        start_main(pod, state, now, &mut decision);
    }
    decision
}

/// Whether a container that ended this way is to run again.
pub(crate) fn runs_again(policy: RestartPolicy, code: i32) -> bool {
    match policy {
        RestartPolicy::Always => true,
        RestartPolicy::OnFailure => code != 0,
        RestartPolicy::Never => false,
    }
}

/// Stops main containers, then sidecars; answers whether nothing is left to stop.
fn stop_all(
    pod: &Pod,
    state: &PodState,
    now: Timestamp,
    decision: &mut Decision,
    why: &str,
) -> bool {
    let deadline = later(now, fields::grace(pod));
    let running = |role: Role| {
        fields::containers(pod)
            .filter(move |(its, container)| {
                ((*its == Role::Sidecar) == (role == Role::Sidecar))
                    && state.container(&container.name).is_running()
            })
            .map(|(_, container)| container.name.clone())
            .collect::<Vec<_>>()
    };
    let first = running(Role::Main);
    let due = if first.is_empty() {
        running(Role::Sidecar)
    } else {
        first
    };
    let all_stopped = due.is_empty();
    for name in due {
        stop(&name, &state.container(&name), deadline, why, decision);
    }
    all_stopped
}

/// A stop under way is only repeated to make it end sooner.
fn stop(
    name: &str,
    state: &ContainerState,
    deadline: Timestamp,
    why: &str,
    decision: &mut Decision,
) {
    let sooner = state
        .stopping
        .is_none_or(|known| later(deadline, SignedDuration::from_secs(1)) < known);
    if sooner {
        decision.actions.push(Action::Stop {
            container: name.to_owned(),
            deadline,
            why: why.to_owned(),
        });
    }
}

fn stop_unhealthy(
    pod: &Pod,
    container: &Container,
    state: &ContainerState,
    now: Timestamp,
    decision: &mut Decision,
) {
    if let (true, Some(why)) = (state.is_running(), &state.unhealthy)
        && state.stopping.is_none()
    {
        let own = container
            .liveness_probe
            .as_ref()
            .and_then(|probe| probe.termination_grace_period_seconds);
        let grace = own.map_or_else(|| fields::grace(pod), SignedDuration::from_secs);
        stop(&container.name, state, later(now, grace), why, decision);
    }
}

fn deadline(
    pod: &Pod,
    state: &PodState,
    now: Timestamp,
    decision: &mut Decision,
) -> Option<Failure> {
    let limit = fields::spec(pod).active_deadline_seconds?;
    let ends_at = later(state.accepted_at?, SignedDuration::from_secs(limit));
    if now < ends_at {
        decision.wake(ends_at);
        return None;
    }
    Some(Failure {
        reason: "DeadlineExceeded".to_owned(),
        message: "Pod was active on the node longer than the specified deadline".to_owned(),
    })
}

fn prepared(state: &PodState, now: Timestamp, decision: &mut Decision) -> bool {
    match &state.preparation {
        Preparation::Done => return true,
        Preparation::Running => {}
        Preparation::Wanted => decision.actions.push(Action::Prepare),
        Preparation::Failed { at } => {
            let again = later(*at, PREPARE_AGAIN_AFTER);
            if again <= now {
                decision.actions.push(Action::Prepare);
            } else {
                decision.wake(again);
            }
        }
    }
    false
}

/// Starts init containers one after the other, and sidecars among them;
/// answers whether the main containers' turn has come.
fn start_early(pod: &Pod, state: &PodState, now: Timestamp, decision: &mut Decision) -> bool {
    let begun = fields::containers(pod).any(|(role, container)| {
        role == Role::Main && state.container(&container.name) != ContainerState::default()
    });
    for (role, container) in fields::containers(pod) {
        let known = state.container(&container.name);
        match role {
            Role::Main => break,
            // Once a main container has run, init containers are history.
            Role::Init if begun => {}
            Role::Init => {
                if known.finished().is_some_and(|finished| finished.code == 0) {
                    continue;
                }
                start(pod, role, container, &known, now, decision);
                return false;
            }
            Role::Sidecar => {
                start(pod, role, container, &known, now, decision);
                let is_up = known.is_running() && known.is_started;
                if !begun && !is_up {
                    return false;
                }
            }
        }
    }
    true
}

fn start_main(pod: &Pod, state: &PodState, now: Timestamp, decision: &mut Decision) {
    let mut all_over = true;
    for (role, container) in fields::containers(pod).filter(|(role, _)| *role == Role::Main) {
        let known = state.container(&container.name);
        let policy = fields::restart_policy(pod, role);
        all_over &= known
            .finished()
            .is_some_and(|finished| !runs_again(policy, finished.code));
        start(pod, role, container, &known, now, decision);
    }
    if all_over {
        // Sidecars serve the main containers, and end after them.
        decision
            .actions
            .retain(|action| !matches!(action, Action::Start { .. }));
        stop_all(pod, state, now, decision, "the main containers have ended");
    }
}

/// Starts a container now or, if it has to wait, later; leaves it alone if it
/// runs or has ended for good.
fn start(
    pod: &Pod,
    role: Role,
    container: &Container,
    state: &ContainerState,
    now: Timestamp,
    decision: &mut Decision,
) {
    let due = match &state.phase {
        Phase::Waiting(waiting) => waiting
            .trouble
            .as_ref()
            .map_or(now, |trouble| trouble.retry_at),
        Phase::Ended(finished) if runs_again(fields::restart_policy(pod, role), finished.code) => {
            state.crash.due(finished.ended_at)
        }
        Phase::Ended(_) | Phase::Starting | Phase::Running { .. } => return,
    };
    if due <= now {
        decision.actions.push(Action::Start {
            container: container.name.clone(),
        });
    } else {
        decision.wake(due);
    }
}

#[cfg(test)]
mod tests;
