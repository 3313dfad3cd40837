//! What the API is told of a pod.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{
    ContainerState as ApiState, ContainerStateRunning, ContainerStateTerminated,
    ContainerStateWaiting, ContainerStatus, HostIP, Pod, PodIP, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::backoff::later;
use super::decide::runs_again;
use super::fields::{self, Role};
use super::state::{ContainerState, Finished, Phase, PodState};

mod conditions;

/// How long `ErrImagePull` is shown before `ImagePullBackOff` takes its place.
const SHOW_PULL_ERROR: SignedDuration = SignedDuration::from_secs(2);

/// Kubernetes keeps times in whole seconds.
pub(crate) fn time(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

/// Where the pod is, for its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub pod_address: Option<String>,
    pub node_address: String,
}

/// A pod's phase in Kubernetes' words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PodPhase {
    Pending,
    Running,
    Succeeded,
    Failed,
}

impl PodPhase {
    fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
        }
    }
}

/// Computes the phase from what all containers do.
pub(crate) fn phase(pod: &Pod, state: &PodState) -> PodPhase {
    if state.failure.is_some() && !state.is_active() {
        return PodPhase::Failed;
    }
    let mut init_pending = false;
    for (_, container) in fields::containers(pod).filter(|(role, _)| *role == Role::Init) {
        match state.container(&container.name).finished() {
            Some(finished) if finished.code == 0 => {}
            Some(finished)
                if !runs_again(fields::restart_policy(pod, Role::Init), finished.code) =>
            {
                return PodPhase::Failed;
            }
            _ => init_pending = true,
        }
    }
    let main: Vec<ContainerState> = fields::containers(pod)
        .filter(|(role, _)| *role == Role::Main)
        .map(|(_, container)| state.container(&container.name))
        .collect();
    let never_ran = |known: &ContainerState| {
        known.last.is_none() && matches!(known.phase, Phase::Waiting(_) | Phase::Starting)
    };
    if (init_pending && main.iter().all(never_ran)) || main.is_empty() || main.iter().any(never_ran)
    {
        return PodPhase::Pending;
    }
    let ended: Vec<&Finished> = main.iter().filter_map(ContainerState::finished).collect();
    let policy = fields::restart_policy(pod, Role::Main);
    if ended.len() < main.len()
        || ended
            .iter()
            .any(|finished| runs_again(policy, finished.code))
    {
        return PodPhase::Running;
    }
    let sidecar_runs = fields::containers(pod).any(|(role, container)| {
        role == Role::Sidecar && state.container(&container.name).is_running()
    });
    if sidecar_runs {
        return PodPhase::Running;
    }
    if ended.iter().all(|finished| finished.code == 0) {
        PodPhase::Succeeded
    } else {
        PodPhase::Failed
    }
}

/// The whole status. Times of conditions that did not change come from
/// `previous`, the status last told.
pub(crate) fn status(
    pod: &Pod,
    state: &PodState,
    place: &Place,
    previous: Option<&PodStatus>,
    now: Timestamp,
) -> PodStatus {
    let phase = phase(pod, state);
    let statuses = |wanted: fn(Role) -> bool| {
        fields::containers(pod)
            .filter(|(role, _)| wanted(*role))
            .map(|(role, container)| container_status(pod, role, container, state, now))
            .collect::<Vec<_>>()
    };
    let early = statuses(|role| role != Role::Main);
    let main = statuses(|role| role == Role::Main);
    let conditions = conditions::conditions(pod, state, phase, previous, now);
    PodStatus {
        phase: Some(phase.name().to_owned()),
        reason: state.failure.as_ref().map(|failure| failure.reason.clone()),
        message: state
            .failure
            .as_ref()
            .map(|failure| failure.message.clone()),
        start_time: state.accepted_at.map(time),
        host_ip: Some(place.node_address.clone()),
        host_ips: Some(vec![HostIP {
            ip: place.node_address.clone(),
        }]),
        pod_ip: place.pod_address.clone(),
        pod_ips: place.pod_address.clone().map(|ip| vec![PodIP { ip }]),
        init_container_statuses: (!early.is_empty()).then_some(early),
        container_statuses: Some(main),
        conditions: Some(conditions),
        observed_generation: pod.metadata.generation,
        ..PodStatus::default()
    }
}

fn container_status(
    pod: &Pod,
    role: Role,
    container: &k8s_openapi::api::core::v1::Container,
    state: &PodState,
    now: Timestamp,
) -> ContainerStatus {
    let known = state.container(&container.name);
    let image = container.image.clone().unwrap_or_default();
    let (shown, last) = states(pod, role, container, &known, state, now);
    let ran = known.is_running() || known.last.is_some() || known.finished().is_some();
    ContainerStatus {
        name: container.name.clone(),
        image_id: known.image_id.clone().unwrap_or_default(),
        image,
        restart_count: i32::try_from(known.shown_restarts()).unwrap_or(i32::MAX),
        ready: match role {
            Role::Init => known.finished().is_some_and(|finished| finished.code == 0),
            Role::Main | Role::Sidecar => is_ready(&known),
        },
        started: Some(known.is_running() && known.is_started),
        container_id: ran.then(|| container_id(pod, container, &known)),
        state: Some(shown),
        last_state: Some(
            last.map(|finished| terminated(pod, container, finished))
                .unwrap_or_default(),
        ),
        ..ContainerStatus::default()
    }
}

fn is_ready(state: &ContainerState) -> bool {
    state.is_running() && state.is_started && state.is_ready
}

fn container_id(
    pod: &Pod,
    container: &k8s_openapi::api::core::v1::Container,
    known: &ContainerState,
) -> String {
    format!(
        "foreshore://{}/{}/{}",
        fields::uid(pod),
        container.name,
        known.shown_restarts()
    )
}

/// The present state and the one before it.
fn states<'a>(
    pod: &Pod,
    role: Role,
    container: &k8s_openapi::api::core::v1::Container,
    known: &'a ContainerState,
    state: &PodState,
    now: Timestamp,
) -> (ApiState, Option<&'a Finished>) {
    match &known.phase {
        Phase::Running { since } => {
            let running = ContainerStateRunning {
                started_at: Some(time(*since)),
            };
            (
                ApiState {
                    running: Some(running),
                    ..ApiState::default()
                },
                known.last.as_ref(),
            )
        }
        // While a new start is made ready the end of the old one is the news.
        Phase::Starting if known.last.is_some() => {
            let last = known.last.as_ref().expect("just seen");
            (terminated(pod, container, last), None)
        }
        Phase::Starting => (waiting("ContainerCreating", None), None),
        Phase::Waiting(wait) => {
            let shown = match &wait.trouble {
                Some(trouble)
                    if trouble.reason == "ErrImagePull"
                        && now >= later(trouble.at, SHOW_PULL_ERROR) =>
                {
                    let image = container.image.as_deref().unwrap_or_default();
                    let words = format!(
                        "Back-off pulling image \"{image}\": {}: {}",
                        trouble.reason, trouble.message
                    );
                    waiting("ImagePullBackOff", Some(words))
                }
                Some(trouble) => waiting(&trouble.reason, Some(trouble.message.clone())),
                None if init_is_pending(pod, role, state) => waiting("PodInitializing", None),
                None => waiting("ContainerCreating", None),
            };
            (shown, known.last.as_ref())
        }
        Phase::Ended(finished) => {
            let again = runs_again(fields::restart_policy(pod, role), finished.code)
                && state.failure.is_none()
                && fields::deletion(pod).is_none();
            if again && now < known.crash.due(finished.ended_at) {
                let words = format!(
                    "back-off {} restarting failed container={} pod={}_{}({})",
                    known.crash.words(),
                    container.name,
                    fields::name(pod),
                    fields::namespace(pod),
                    fields::uid(pod),
                );
                (waiting("CrashLoopBackOff", Some(words)), Some(finished))
            } else {
                (terminated(pod, container, finished), known.last.as_ref())
            }
        }
    }
}

/// When the status changes by the mere passing of time.
pub(crate) fn changes_at(pod: &Pod, state: &PodState, now: Timestamp) -> Option<Timestamp> {
    fields::containers(pod)
        .filter_map(
            |(_, container)| match state.container(&container.name).phase {
                Phase::Waiting(waiting) => waiting.trouble,
                _ => None,
            },
        )
        .filter(|trouble| trouble.reason == "ErrImagePull")
        .map(|trouble| later(trouble.at, SHOW_PULL_ERROR))
        .filter(|at| *at > now)
        .min()
}

fn init_is_pending(pod: &Pod, role: Role, state: &PodState) -> bool {
    let done = |name: &str| {
        state
            .container(name)
            .finished()
            .is_some_and(|finished| finished.code == 0)
    };
    role == Role::Main
        && fields::containers(pod)
            .any(|(its, container)| its == Role::Init && !done(&container.name))
}

fn waiting(reason: &str, message: Option<String>) -> ApiState {
    let waiting = ContainerStateWaiting {
        reason: Some(reason.to_owned()),
        message,
    };
    ApiState {
        waiting: Some(waiting),
        ..ApiState::default()
    }
}

fn terminated(
    pod: &Pod,
    container: &k8s_openapi::api::core::v1::Container,
    finished: &Finished,
) -> ApiState {
    let id = format!(
        "foreshore://{}/{}/{}",
        fields::uid(pod),
        container.name,
        finished.attempt
    );
    let terminated = ContainerStateTerminated {
        container_id: Some(id),
        exit_code: finished.code,
        reason: Some(finished.reason.clone()),
        message: finished.message.clone(),
        started_at: Some(time(finished.started_at)),
        finished_at: Some(time(finished.ended_at)),
        signal: None,
    };
    ApiState {
        terminated: Some(terminated),
        ..ApiState::default()
    }
}

/// Whether the pod has ended for good.
pub(crate) fn is_over(pod: &Pod, state: &PodState) -> bool {
    matches!(phase(pod, state), PodPhase::Succeeded | PodPhase::Failed)
}

#[cfg(test)]
mod tests;
