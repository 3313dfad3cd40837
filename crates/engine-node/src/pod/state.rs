//! What the node knows of a pod that the API does not; kept on disk so that
//! a restarted node goes on where it was.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::backoff::Backoff;

/// Everything known of one pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PodState {
    /// When the node first saw the pod.
    pub accepted_at: Option<Timestamp>,
    pub preparation: Preparation,
    pub containers: BTreeMap<String, ContainerState>,
    /// Why the node ended the whole pod, if it did.
    pub failure: Option<Failure>,
    /// When the pod first reached a phase it cannot leave.
    pub is_over: bool,
}

/// Volumes and whatever else a pod needs before its first container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Preparation {
    #[default]
    Wanted,
    Running,
    Done,
    /// To be tried again.
    Failed {
        at: Timestamp,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Failure {
    pub reason: String,
    pub message: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ContainerState {
    pub phase: Phase,
    /// How the start before the present one ended.
    pub last: Option<Finished>,
    /// Number of the present start, also while it is only being made ready.
    pub restarts: u32,
    pub image_id: Option<String>,
    pub crash: Backoff,
    pub pull: Backoff,
    /// The startup probe, if there is one, has succeeded since the start.
    pub is_started: bool,
    /// The readiness probe, if there is one, succeeds.
    pub is_ready: bool,
    /// When the container will be killed if it does not end by itself.
    pub stopping: Option<Timestamp>,
    /// Why the node wants this start of the container to end.
    pub unhealthy: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Phase {
    Waiting(Waiting),
    /// Its image, environment or process is being made ready.
    Starting,
    #[serde(rename_all = "camelCase")]
    Running {
        since: Timestamp,
    },
    Ended(Finished),
}

impl Default for Phase {
    fn default() -> Self {
        Self::Waiting(Waiting::default())
    }
}

/// Not running, and not because it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Waiting {
    /// `None` while nothing has gone wrong.
    pub trouble: Option<Trouble>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Trouble {
    pub reason: String,
    pub message: String,
    pub at: Timestamp,
    pub retry_at: Timestamp,
}

/// How one start of a container ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Finished {
    pub code: i32,
    pub reason: String,
    pub message: Option<String>,
    pub started_at: Timestamp,
    pub ended_at: Timestamp,
    pub attempt: u32,
}

impl ContainerState {
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running { .. })
    }

    pub(crate) fn finished(&self) -> Option<&Finished> {
        match &self.phase {
            Phase::Ended(finished) => Some(finished),
            _ => None,
        }
    }

    /// Restarts to tell of: one counts once its container has been created.
    pub(crate) fn shown_restarts(&self) -> u32 {
        match &self.phase {
            Phase::Running { .. } => self.restarts,
            Phase::Ended(finished) => finished.attempt,
            Phase::Starting | Phase::Waiting(_) => {
                self.last.as_ref().map_or(0, |last| last.attempt)
            }
        }
    }

    pub(crate) fn has_succeeded(&self) -> bool {
        self.finished().is_some_and(|finished| finished.code == 0)
    }

    /// Number of the start that comes next.
    pub(crate) fn next_attempt(&self) -> u32 {
        let previous = self.finished().or(self.last.as_ref());
        previous.map_or(0, |finished| finished.attempt + 1)
    }
}

impl PodState {
    /// What is known of a container; nothing yet is also an answer.
    pub(crate) fn container(&self, name: &str) -> ContainerState {
        self.containers.get(name).cloned().unwrap_or_default()
    }

    pub(crate) fn container_mut(&mut self, name: &str) -> &mut ContainerState {
        self.containers.entry(name.to_owned()).or_default()
    }

    /// Whether anything of the pod runs or is about to.
    pub(crate) fn is_active(&self) -> bool {
        let active =
            |state: &ContainerState| matches!(state.phase, Phase::Running { .. } | Phase::Starting);
        self.preparation == Preparation::Running || self.containers.values().any(active)
    }
}
