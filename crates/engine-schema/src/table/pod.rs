//! The row of a pod: which word sums up its state.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Shown, or_none};

pub(super) fn cells(shown: Shown<'_>) -> Vec<Value> {
    let summary = Summary::of(shown);
    let restarts = match summary.last_restart {
        Some(time) if summary.restarts != 0 => format!(
            "{} ({} ago)",
            summary.restarts,
            shown.since(&json!(time.to_string()))
        ),
        _ => summary.restarts.to_string(),
    };
    let address = shown
        .list("/status/podIPs")
        .first()
        .and_then(|address| address["ip"].as_str())
        .unwrap_or_default();
    vec![
        shown.name(),
        json!(format!("{}/{}", summary.ready, summary.total)),
        json!(summary.reason),
        json!(restarts),
        shown.age(),
        json!(or_none(address)),
        json!(or_none(shown.text("/spec/nodeName"))),
        json!(or_none(shown.text("/status/nominatedNodeName"))),
        json!(readiness_gates(shown)),
    ]
}

fn readiness_gates(shown: Shown<'_>) -> String {
    let gates = shown.list("/spec/readinessGates");
    if gates.is_empty() {
        return "<none>".to_owned();
    }
    let ready = gates.iter().filter(|gate| {
        shown
            .list("/status/conditions")
            .iter()
            .find(|condition| condition["type"] == gate["conditionType"])
            .is_some_and(|condition| condition["status"] == "True")
    });
    format!("{}/{}", ready.count(), gates.len())
}

struct Summary {
    reason: String,
    ready: usize,
    total: usize,
    restarts: i64,
    last_restart: Option<Timestamp>,
}

/// Restarts so far and the latest of them.
#[derive(Default, Clone, Copy)]
struct Restarts {
    count: i64,
    last: Option<Timestamp>,
}

impl Restarts {
    fn add(&mut self, status: &Value) {
        self.count += status["restartCount"].as_i64().unwrap_or_default();
        let finished = status["lastState"]["terminated"]["finishedAt"]
            .as_str()
            .and_then(|time| time.parse().ok());
        self.last = self.last.max(finished);
    }
}

impl Summary {
    fn of(shown: Shown<'_>) -> Self {
        let conditions = shown.list("/status/conditions");
        let phase = shown.text("/status/phase");
        let stated = shown.text("/status/reason");
        let mut reason = if stated.is_empty() { phase } else { stated }.to_owned();
        if conditions.iter().any(|condition| {
            condition["type"] == "PodScheduled" && condition["reason"] == "SchedulingGated"
        }) {
            "SchedulingGated".clone_into(&mut reason);
        }
        let init = InitState::of(shown);
        let mut restarts = init.restarts;
        let mut ready = init.ready;
        if let Some(found) = &init.reason {
            reason.clone_from(found);
        }
        let initialized = conditions
            .iter()
            .any(|condition| condition["type"] == "Initialized" && condition["status"] == "True");
        if init.reason.is_none() || initialized {
            restarts = init.sidecar_restarts;
            let main = main_containers(shown, &mut restarts);
            ready += main.ready;
            if let Some(found) = main.reason {
                reason = found;
            }
            if reason == "Completed" {
                let pod_ready = conditions
                    .iter()
                    .any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
                if main.running && pod_ready {
                    "Running".clone_into(&mut reason);
                } else if let Some(error) = main.error {
                    reason = error;
                } else if main.running {
                    "NotReady".clone_into(&mut reason);
                }
            }
        }
        if !shown.text("/metadata/deletionTimestamp").is_empty() {
            if stated == "NodeLost" {
                "Unknown".clone_into(&mut reason);
            } else if phase != "Succeeded" && phase != "Failed" {
                "Terminating".clone_into(&mut reason);
            }
        }
        let total = shown.list("/spec/containers").len()
            + shown
                .list("/spec/initContainers")
                .iter()
                .filter(|container| container["restartPolicy"] == "Always")
                .count();
        Self {
            reason,
            ready,
            total,
            restarts: restarts.count,
            last_restart: restarts.last,
        }
    }
}

/// What the init containers say.
#[derive(Default)]
struct InitState {
    /// Set while they are not done.
    reason: Option<String>,
    ready: usize,
    restarts: Restarts,
    sidecar_restarts: Restarts,
}

impl InitState {
    fn of(shown: Shown<'_>) -> Self {
        let mut found = Self::default();
        let containers = shown.list("/spec/initContainers");
        for (index, status) in shown
            .list("/status/initContainerStatuses")
            .iter()
            .enumerate()
        {
            let sidecar = containers.iter().any(|container| {
                container["name"] == status["name"] && container["restartPolicy"] == "Always"
            });
            found.restarts.add(status);
            if sidecar {
                found.sidecar_restarts.add(status);
            }
            let state = &status["state"];
            let terminated = &state["terminated"];
            if terminated.is_object() && exit_code(terminated) == 0 {
                continue;
            }
            if sidecar && status["started"] == true {
                found.ready += usize::from(status["ready"] == true);
                continue;
            }
            let waiting = state["waiting"]["reason"].as_str().unwrap_or_default();
            found.reason = Some(if terminated.is_object() {
                format!("Init:{}", ended(terminated))
            } else if !waiting.is_empty() && waiting != "PodInitializing" {
                format!("Init:{waiting}")
            } else {
                format!("Init:{index}/{}", containers.len())
            });
            break;
        }
        found
    }
}

struct MainState {
    reason: Option<String>,
    error: Option<String>,
    running: bool,
    ready: usize,
}

fn main_containers(shown: Shown<'_>, restarts: &mut Restarts) -> MainState {
    let mut found = MainState {
        reason: None,
        error: None,
        running: false,
        ready: 0,
    };
    // The first container has the last word.
    for status in shown.list("/status/containerStatuses").iter().rev() {
        restarts.add(status);
        let state = &status["state"];
        let waiting = state["waiting"]["reason"].as_str().unwrap_or_default();
        let terminated = &state["terminated"];
        if !waiting.is_empty() {
            found.reason = Some(waiting.to_owned());
        } else if terminated.is_object() {
            let reason = ended(terminated);
            if exit_code(terminated) != 0 {
                found.error = Some(reason.clone());
            }
            found.reason = Some(reason);
        } else if status["ready"] == true && state["running"].is_object() {
            found.running = true;
            found.ready += 1;
        }
    }
    found
}

fn exit_code(terminated: &Value) -> i64 {
    terminated["exitCode"].as_i64().unwrap_or_default()
}

/// Why a container ended.
fn ended(terminated: &Value) -> String {
    let reason = terminated["reason"].as_str().unwrap_or_default();
    match terminated["signal"].as_i64().unwrap_or_default() {
        _ if !reason.is_empty() => reason.to_owned(),
        0 => format!("ExitCode:{}", exit_code(terminated)),
        signal => format!("Signal:{signal}"),
    }
}
